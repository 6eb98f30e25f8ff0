"""Addresses that events state of a customer, in one form each: phone numbers in E.164, e-mail addresses as mail servers compare them.

What is no address is left out of the event, with a warning to its sender: a message to it could only fail, and a wrong number may be a
stranger's. The two libraries are imported when the first address is met, so that nobody else pays for them.

* a number without a country code belongs to the country that the event states (`country`, `address.country`, of the data or the traits,
  `context.location.country`), else to the setting's; one that is none there is tried as an international one without its plus
* only numbers that can take a text message are kept: mobile ones, and those of countries whose numbers do not tell
* the domain of an e-mail address is written small and in ASCII; the part before the @ belongs to its server and is left as it is
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from services.contracts.events import Event
from services.contracts.merges import IDENTIFYING

DEFAULT_REGION = "RU"
_LONGEST_PHONE = 64
_LONGEST_EMAIL = 320
_FEWEST_INTERNATIONAL = 10
"""Digits from which a number without a plus may be an international one."""
_REMEMBERED = 4_096
"""Good addresses of each kind: libraries tell who somebody is on every page, and judging one costs 0.1 ms."""
_CHANNELS = {"email": "email", "phone": "sms"}
"""What a kind of address is called below `addresses`."""


class _Place(NamedTuple):
    """Where an address stands, and what its country follows from."""

    pointer: str
    data: Mapping[str, Any]
    region: str

    @property
    def country(self) -> str:
        return _country(self.data) or self.region


class Cleaned(NamedTuple):
    """An event's data with its addresses in their one form (the same object where nothing changed), and what was left out."""

    data: dict[str, Any]
    warnings: list[str]


def clean_addresses(data: dict[str, Any], region: str) -> Cleaned:
    """Return the data of an identifying event with clean addresses; `region` is the country of numbers without a code (ISO 3166-1)."""
    found = Cleaned(dict(data), [])
    _clean_fields(found, found.data, _Place("/data", data, region))
    if isinstance(traits := data.get("traits"), dict):
        found.data["traits"] = dict(traits)
        _clean_fields(found, found.data["traits"], _Place("/data/traits", data, region))
    return found if found.warnings or found.data != data else Cleaned(data, [])


def with_clean_addresses(event: Event, region: str = DEFAULT_REGION) -> Event:
    """Return an event, of a file say, with clean addresses; another one than an identifying event as it is."""
    if event.type not in IDENTIFYING:
        return event
    data = clean_addresses(event.data, region).data
    return event if data is event.data else msgspec.structs.replace(event, data=data)


def email_of(text: str) -> str:
    """Return an e-mail address in its normal form (`Ann <Ann@Shop.Example>` is `Ann@shop.example`); raises `ValueError` with the reason.

    Only its form is judged (RFC 5322 as mail servers live it, RFC 6531); no server is asked.
    """
    text = text.strip()
    text = text[7:] if text[:7].lower() == "mailto:" else text
    if len(text) > _LONGEST_EMAIL:
        raise ValueError("is too long for an e-mail address")
    return _email_of(text)


@lru_cache(maxsize=_REMEMBERED)
def _email_of(text: str) -> str:
    """Remember no more than short texts: blanks around an address may be a megabyte."""
    from email_validator import EmailNotValidError, validate_email

    try:
        found = validate_email(text, check_deliverability=False, allow_display_name=True)
    except EmailNotValidError:
        raise ValueError("is no e-mail address") from None
    return found.ascii_email or found.normalized


def phone_of(text: str, region: str) -> str:
    """Return a phone number in E.164 (`8 (916) 123-45-67` in RU is `+79161234567`); raises `ValueError` with the reason."""
    text = text.strip()
    if not 0 < len(text) <= _LONGEST_PHONE:
        raise ValueError("is no phone number")
    return _phone_of(text, region)


@lru_cache(maxsize=_REMEMBERED)
def _phone_of(text: str, region: str) -> str:
    import phonenumbers
    from phonenumbers import PhoneNumberType

    found = _number(text, region)
    if found is None:
        raise ValueError("is no phone number")
    kind = phonenumbers.number_type(found)
    if kind not in {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}:
        raise ValueError(f"is no mobile number ({PhoneNumberType.to_string(kind).lower().replace('_', ' ')})")
    return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)


def _number(text: str, region: str) -> Any:
    """Return the valid number that a text spells, None if none."""
    digits = sum(character.isdigit() for character in text)
    spelt = [text, f"+{text}"] if digits >= _FEWEST_INTERNATIONAL and not text.startswith("+") else [text]
    return next((number for each in spelt if (number := _parse(each, region)) is not None), None)


def _parse(text: str, region: str) -> Any:
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None


def _clean_fields(found: Cleaned, fields: dict[str, Any], place: _Place) -> None:
    for kind in _CHANNELS:
        _clean_one(found, fields, kind, kind, place)
    if isinstance(named := fields.get("addresses"), dict):
        fields["addresses"] = dict(named)
        below = place._replace(pointer=f"{place.pointer}/addresses")
        for kind, channel in _CHANNELS.items():
            _clean_one(found, fields["addresses"], channel, kind, below)


def _clean_one(found: Cleaned, fields: dict[str, Any], name: str, kind: str, place: _Place) -> None:
    """Put the one form of an address in its place, or take it out; null (forget it) and an empty text (not known) stay."""
    value = fields.get(name)
    if value is None or value == "":
        return
    try:
        text = _text(value)
        fields[name] = email_of(text) if kind == "email" else phone_of(text, place.country)
    except ValueError as error:
        del fields[name]
        found.warnings.append(f"{place.pointer}/{name} {error}; it was left out")


def _text(value: Any) -> str:
    """Return an address as text; numbers of JSON are some people's phones."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError("is no text")  # noqa: TRY004 - one kind of error for all that is no address
    return str(value)


def _country(data: Mapping[str, Any]) -> str | None:
    """Return the country that an event states, if the numbers of one of that code are known."""
    for stated in _countries(data):
        if isinstance(stated, str) and len(code := stated.strip().upper()) == len("RU") and _is_known(code):
            return code
    return None


def _countries(data: Mapping[str, Any]) -> Iterator[Any]:
    context = data.get("context")
    location = context.get("location") if isinstance(context, dict) else None
    for fields in (data, data.get("traits")):
        if isinstance(fields, dict):
            yield fields.get("country")
            yield from (address.get("country") for address in [fields.get("address")] if isinstance(address, dict))
    if isinstance(location, dict):
        yield location.get("country")


def _is_known(country: str) -> bool:
    import phonenumbers

    return country in phonenumbers.SUPPORTED_REGIONS
