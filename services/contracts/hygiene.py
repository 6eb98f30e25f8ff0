"""Make parsed JSON safe for every store behind us: no NUL, no lone surrogate, no infinity, bounded depth, keys and number of values.

PostgreSQL's text and jsonb refuse a NUL, UTF-8 has no surrogates, JSON has no infinity; each is poison for whoever reads the log.
"""

import math
from typing import Any

from services.contracts.errors import InvalidEvent
from services.contracts.incoming import MAX_KEY

MAX_DEPTH = 32
"""Levels of nesting inside an event; the event itself is the first."""
MAX_VALUES = 40_000
"""Values in one event: more can't be in one of a size that is accepted, so the walk may stop there."""


def clean_text(text: str) -> str:
    """Return the text without NUL, lone surrogates replaced by U+FFFD."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\0", "") if "\0" in text else text


def clean_object(value: dict[str, Any]) -> dict[str, Any]:
    """Return a safe copy of a parsed JSON object.

    Raises `InvalidEvent`: `too_deep`, `key_too_long` or `event_too_large`, with a pointer to the place.
    """
    return _Walk().clean_object(value)


def pointer_of(path: list[str]) -> str:
    """Return the JSON pointer (RFC 6901) of a path of keys and indexes, long keys cut short."""
    return "".join(f"/{clean_text(step[:MAX_KEY]).replace('~', '~0').replace('/', '~1')}" for step in path)


class _Walk:
    """One walk over one event; knows where it stands and how much it may still meet."""

    def __init__(self) -> None:
        self._left = MAX_VALUES
        self._path: list[str] = []

    def clean_object(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return the safe copy of an object."""
        self._enter(len(value))
        return {self._key(key): self._clean(key, below) for key, below in value.items()}

    def _clean(self, step: str, value: Any) -> Any:
        if isinstance(value, str):
            return clean_text(value)
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if not isinstance(value, (dict, list)):
            return value
        self._path.append(step)
        cleaned = self.clean_object(value) if isinstance(value, dict) else self._clean_array(value)
        self._path.pop()
        return cleaned

    def _clean_array(self, value: list[Any]) -> list[Any]:
        self._enter(len(value))
        return [self._clean(str(index), below) for index, below in enumerate(value)]

    def _enter(self, size: int) -> None:
        if len(self._path) >= MAX_DEPTH:
            raise InvalidEvent(f"nested more than {MAX_DEPTH} levels deep", code="too_deep", pointer=pointer_of(self._path[:4]))
        self._left -= size
        if self._left < 0:
            raise InvalidEvent(f"more than {MAX_VALUES} values in one event", code="event_too_large", pointer=pointer_of(self._path))

    def _key(self, key: str) -> str:
        if len(key) > MAX_KEY:
            raise InvalidEvent(
                f"keys have at most {MAX_KEY} characters, not {len(key)}", code="key_too_long", pointer=pointer_of(self._path)
            )
        return clean_text(key)
