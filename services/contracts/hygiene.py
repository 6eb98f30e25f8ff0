"""Make parsed JSON safe for every store behind us: no NUL, no lone surrogate, no infinity, no giant integer; bounded depth, keys, size.

PostgreSQL's text and jsonb refuse a NUL, UTF-8 has no surrogates, JSON has no infinity; each is poison for whoever reads the log.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType, NoneType
from typing import Any

from services.contracts.errors import InvalidEvent
from services.contracts.incoming import LARGEST_INTEGER, MAX_KEY

MAX_DEPTH = 32
"""Levels of nesting inside an event; the event itself is the first."""
MAX_VALUES = 40_000
"""Values in one field of an event: more can't be in an event of a size that is accepted, so the walk may stop there."""


def clean_text(text: str) -> str:
    """Return the text without NUL, lone surrogates replaced by U+FFFD."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\0", "") if "\0" in text else text


def clean_object(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return a safe copy of a parsed JSON object; an integer over 64 bits becomes its digits, an infinity null.

    Raises `InvalidEvent`: `too_deep`, `key_too_long` or `event_too_large`, with a pointer to the object's field.
    """
    cleaned = {}
    for field, value in raw.items():
        try:
            cleaned[_key(field)] = _Walk().clean(value, 2)
        except InvalidEvent as error:
            raise InvalidEvent(error.message, code=error.code, pointer=pointer_of([field])) from error
    return cleaned


def pointer_of(path: Sequence[str]) -> str:
    """Return the JSON pointer (RFC 6901) of a path of keys and indexes, long keys cut short."""
    return "".join(f"/{clean_text(step[:MAX_KEY]).replace('~', '~0').replace('/', '~1')}" for step in path)


class _Walk:
    """One walk over one value; knows how much it may still meet. Half a million values must cost no more than moments."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def clean(self, value: Any, depth: int) -> Any:
        """Return the safe copy of a value found at `depth`."""
        clean_scalar = _SCALARS.get(type(value))
        return self._clean_container(value, depth) if clean_scalar is None else clean_scalar(value)

    def _clean_container(self, value: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise InvalidEvent(f"nested more than {MAX_DEPTH} levels deep", code="too_deep")
        if not value:
            return value
        self._left -= len(value)
        if self._left < 0:
            raise InvalidEvent(f"more than {MAX_VALUES} values in one event", code="event_too_large")
        below = depth + 1
        if isinstance(value, dict):
            return {_key(key): self.clean(each, below) for key, each in value.items()}
        return [self.clean(each, below) for each in value]


def _key(key: str) -> str:
    if len(key) > MAX_KEY:
        raise InvalidEvent(f"keys have at most {MAX_KEY} characters, not {len(key)}", code="key_too_long")
    return clean_text(key)


def _clean_integer(value: int) -> int | str:
    return value if -LARGEST_INTEGER - 1 <= value <= LARGEST_INTEGER else str(value)


def _clean_float(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _keep(value: Any) -> Any:
    return value


_SCALARS: Mapping[type, Callable[[Any], Any]] = MappingProxyType(
    {str: clean_text, int: _clean_integer, float: _clean_float, bool: _keep, NoneType: _keep}
)
