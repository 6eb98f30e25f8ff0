"""The pages of an unsubscribe link, in Russian and English: no script, no cookie, nothing loaded from anywhere."""

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from string import Template
from types import MappingProxyType
from typing import Literal, NamedTuple

Language = Literal["ru", "en"]

_STYLE = (
    "body{margin:0;font:17px/1.5 system-ui,sans-serif;background:#f4f4f2;color:#222}"
    "main{max-width:26rem;margin:12vh auto;padding:2rem;background:#fff;border-radius:12px}"
    "h1{margin:0 0 .75rem;font-size:1.4rem;line-height:1.25}p{margin:0 0 1.25rem}"
    "button{width:100%;padding:.9rem;border:0;border-radius:8px;background:#1f4e8c;color:#fff;font:inherit;cursor:pointer}"
    "button:focus-visible{outline:3px solid #f2a33a}"
    "@media(max-width:30rem){main{margin:0;min-height:80vh;border-radius:0}}"
    "@media(prefers-color-scheme:dark){body{background:#161616;color:#eee}main{background:#222}button{background:#4a86d8}}"
)
_PAGE = Template(
    '<!doctype html><html lang="$language"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
    f"<title>$title</title><style>{_STYLE}</style></head>"
    "<body><main><h1>$title</h1><p>$text</p>$form</main></body></html>"
)
_FORM = Template('<form method="post"><button type="submit">$button</button></form>')
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "content-security-policy": (
            f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ),
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-robots-tag": "noindex",
        "vary": "Accept-Language",
    }
)
"""Headers of every page: the link is a secret, and the page does nothing but ask."""


class _Words(NamedTuple):
    title: str
    text: str
    button: str = ""


_WORDS: Mapping[Language, Mapping[str, _Words]] = {
    "ru": {
        "ask": _Words("Отписаться?", "Вы больше не будете получать от нас $channel.", "Отписаться"),
        "done": _Words("Вы отписаны", "Мы больше не пришлём вам $channel. Страницу можно закрыть."),
        "unknown": _Words("Ссылка не подходит", "Похоже, она скопирована не целиком. Откройте её из письма ещё раз."),
        "later": _Words("Пока не получилось", "Мы не смогли записать ваш отказ. Попробуйте через минуту.", "Попробовать ещё раз"),
    },
    "en": {
        "ask": _Words("Unsubscribe?", "You will no longer get $channel from us.", "Unsubscribe"),
        "done": _Words("You are unsubscribed", "We will send you no more $channel. You may close this page."),
        "unknown": _Words("This link does not work", "It seems to be cut short. Please open it from the message once more."),
        "later": _Words("Not done yet", "We could not record your wish. Please try again in a minute.", "Try again"),
    },
}
_CHANNELS: Mapping[Language, Mapping[str, str]] = {
    "ru": {"email": "писем", "sms": "СМС", "telegram": "сообщений в Telegram"},
    "en": {"email": "e-mails", "sms": "text messages", "telegram": "Telegram messages"},
}
_ANY_CHANNEL: Mapping[Language, str] = {"ru": "сообщений", "en": "messages"}


def language_of(accept_language: str) -> Language:
    """Return Russian where the browser prefers it to English (RFC 9110, 12.5.4), else English."""
    weights = dict(_preference(part) for part in reversed(accept_language.split(",")[:20]))
    return "ru" if weights.get("ru", 0.0) > weights.get("en", 0.0) else "en"


def render_page(name: Literal["ask", "done", "unknown", "later"], language: Language, channel: str = "") -> str:
    """Return a page; everything put into it is escaped."""
    words = _WORDS[language][name]
    text = Template(words.text).substitute(channel=_CHANNELS[language].get(channel, _ANY_CHANNEL[language]))
    form = _FORM.substitute(button=escape(words.button)) if words.button else ""
    return _PAGE.substitute(language=language, title=escape(words.title), text=escape(text), form=form)


def _preference(part: str) -> tuple[str, float]:
    tag, _, quality = part.partition(";")
    return tag.strip().lower().partition("-")[0], _quality(quality.strip())


def _quality(parameter: str) -> float:
    try:
        return float(parameter.removeprefix("q=")) if parameter else 1.0
    except ValueError:
        return 0.0
