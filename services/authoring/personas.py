"""People for the example shop's visitors: fictitious, the same for the same id, and reachable by nobody.

The example clickstream knows no names, addresses or consents, so these are made up: e-mail at example.org (reserved, RFC 2606), phone
numbers of +7 945 (a mobile code that no operator has) and invented Telegram chat ids. As in a real shop, some have left no phone or
Telegram, and some have not agreed to be written to.
"""

import hashlib
from typing import Any

import msgspec

_MEN = ("Александр", "Дмитрий", "Максим", "Сергей", "Андрей", "Иван", "Михаил", "Никита", "Егор", "Тимур")
_WOMEN = ("Анна", "Мария", "Елена", "Дарья", "Ольга", "Наталья", "Екатерина", "Алиса", "Полина", "Гузель")
_ENGLISH = ("Alice", "Ben", "Clara", "David", "Emma", "Frank", "Grace", "Henry", "Irene", "Jack")
_ZONES = ("Europe/Moscow",) * 6 + ("Europe/Samara", "Asia/Yekaterinburg", "Asia/Novosibirsk", "Asia/Vladivostok")
_ZONES_ABROAD = ("Europe/London", "Europe/Berlin", "America/New_York")
RUSSIAN_SHARE, EMAIL_SHARE, PHONE_SHARE, TELEGRAM_SHARE = 80, 95, 65, 45
"""Of a hundred people: who reads Russian, and who has left which address."""
EMAIL_CONSENT_SHARE, SMS_CONSENT_SHARE, TELEGRAM_CONSENT_SHARE = 85, 55, 90
"""Of a hundred people with that address: who has agreed to be written to there."""


class Persona(msgspec.Struct, frozen=True):
    """One made-up person; an empty address was never left. `consent` names the channels agreed to: the others were left unticked."""

    name: str
    language: str
    timezone: str
    email: str
    phone: str
    telegram: str
    consent: dict[str, bool]


def persona_of(customer: str) -> Persona:
    """Return the person behind an id."""
    dice = _Dice(customer)
    russian = dice.happens(RUSSIAN_SHARE)
    email = f"{customer}@example.org" if dice.happens(EMAIL_SHARE) else ""
    phone = f"+7945{dice.roll(10_000_000):07d}" if dice.happens(PHONE_SHARE) else ""
    telegram = str(10_000_000_000 + dice.roll(1_000_000_000)) if dice.happens(TELEGRAM_SHARE) else ""
    shares = {
        "email": (email, EMAIL_CONSENT_SHARE),
        "sms": (phone, SMS_CONSENT_SHARE),
        "telegram": (telegram, TELEGRAM_CONSENT_SHARE),
    }
    return Persona(
        name=dice.pick(_MEN + _WOMEN if russian else _ENGLISH),
        language="ru" if russian else "en",
        timezone=dice.pick(_ZONES if russian else _ZONES_ABROAD),
        email=email,
        phone=phone,
        telegram=telegram,
        consent={channel: True for channel, (address, share) in shares.items() if address and dice.happens(share)},
    )


def registration_of(customer: str, loyalty: str) -> dict[str, Any]:
    """Return the data of the person's `customer.registered` event; `loyalty` comes from the shop."""
    filled = {name: value for name, value in msgspec.to_builtins(persona_of(customer)).items() if value}
    return {**filled, "loyalty": loyalty}


class _Dice:
    """Numbers that look thrown but hang on the id alone, so that every run tells the same story."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._thrown = 0

    def roll(self, sides: int) -> int:
        self._thrown += 1
        digest = hashlib.blake2b(f"{self._seed}:{self._thrown}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % sides

    def happens(self, percent: int) -> bool:
        return self.roll(100) < percent

    def pick(self, words: tuple[str, ...]) -> str:
        return words[self.roll(len(words))]
