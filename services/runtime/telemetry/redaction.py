"""What must not be shown: secrets and what a person is, by the names of keys; addresses, phones and write keys wherever they stand."""

import re
from collections.abc import Mapping
from typing import Any

_SECRET_KEY = re.compile(r"passw|secret|token|authorization|api_?key|write_?key|credential|cookie|signature|dsn", re.IGNORECASE)
_ADDRESS_KEY = re.compile(
    r"^(?:recipients?|address|mail|to|sms|chat_?id|forwarded_?for)$|e_?mail|phone|msisdn|mobile|birth_?da|first_?name|last_?name",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"(?:(?<![\w.+%!#$*^`{|}~-])([\w.+%!#$*^`{|}~-])[\w.+%!#$*^`{|}~-]*+|(?<=[/=?&']))@([\w-]++(?:\.[\w-]++)+)")
"""Each run of characters is read once: a long line of them must not take the square of its length.

Of RFC 5322's characters those that part the words of a URL end a run: what stands before them is shown.
"""
_PHONE = re.compile(r"\+(\d{2})\d{5,11}(\d{2})(?!\d)")
_SPELT_PHONE = re.compile(r"(?<![\w.:+-])(\+\d{1,3}|[78])[ (-]{1,2}\d{3}\)?[ -]?\d{3}[ -]?\d{2}[ -]?(\d{2})(?!\d)")
_BARE_MOBILE = re.compile(r"(?<![\w.:+-])([78]9)\d{7}(\d{2})(?!\w|[.:-]\d)")
"""Eleven digits as Russians write their mobile numbers; a rare number of something else is masked with them."""
_KEY = re.compile(r"\b((?:Bearer|Basic) |[spa]k_)[\w+/=.~-]{16,}", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s@]*@")
_BOT_TOKEN = re.compile(r"/bot\d+:[\w-]+")
_DEPTH = 6
HIDDEN = "***"


def mask(text: str) -> str:
    """Return the text with addresses and keys in it masked: `a***@shop.example`, `+79***67`, `postgresql://user:***@host`, `sk_***`."""
    text = _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", text)
    text = _BOT_TOKEN.sub(f"/bot{HIDDEN}", text)
    text = _KEY.sub(rf"\1{HIDDEN}", text)
    text = _EMAIL.sub(rf"\1{HIDDEN}@\2", text)
    text = _PHONE.sub(rf"+\1{HIDDEN}\2", text)
    text = _SPELT_PHONE.sub(rf"\1{HIDDEN}\2", text)
    return _BARE_MOBILE.sub(rf"\1{HIDDEN}\2", text)


def redacted(key: str, value: Any, depth: int = _DEPTH) -> Any:
    """Return what may be shown of a value that stands under a key; what is nested deeper than `depth` is hidden."""
    if _SECRET_KEY.search(key):
        return HIDDEN
    if _ADDRESS_KEY.search(key) and isinstance(value, (str, int)):
        masked = mask(str(value))
        return masked if masked != str(value) else str(value)[:2] + HIDDEN
    return _redacted_value(key, value, depth)


def _redacted_value(key: str, value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {str(name): redacted(str(name), each, depth - 1) for name, each in value.items()} if depth else HIDDEN
    if isinstance(value, (list, tuple, set)):
        return [redacted(key, each, depth - 1) for each in value] if depth else HIDDEN
    return value if value is None or isinstance(value, (bool, int, float)) else mask(str(value))
