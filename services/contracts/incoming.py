"""What a website posts to `/v1/events`: the shape of one event, and how the bytes of a request become a list of them.

    {"type": "product.added", "customer": "42", "id": "a1", "time": "2026-11-22T10:00:00Z", "data": {"product_id": "p1"}}

`type` and `customer` (or `subject`, or `anonymous`) are needed; all else may be left out or null. `anonymous` is the id of a visitor who
has not said who he is; with `customer` beside it in a `customer.identified`, the two become one. `sent_at` is the client's clock when it
sent: with it, `time` is corrected for that clock's error. `signature` proves `customer` where the key demands it.
A request holds one such object, an array of them, or `{"batch": [...]}`. Attributes that CloudEvents puts beside them (`specversion`,
`datacontenttype`, `dataschema`) are allowed and not used.

Reading has two paths with one result. The strict one decodes straight into `Incoming` and accepts only what needs no cleaning. All
else (a bare `NaN`, a lone surrogate, a NUL, an integer over 64 bits, deep nesting, a field of a wrong type) goes the lenient way:
objects as they are, for `services.contracts.normalise` to clean and judge one by one.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from services.contracts.errors import InvalidEvent

MAX_KEY = 255
"""Characters of a key of `data`, at any depth."""
LARGEST_INTEGER = 2**63 - 1
_LONGEST_INTEGER = len(str(-LARGEST_INTEGER))
_DIGITS_AS_ZERO = bytes(ord("0") if chr(byte) in "0123456789" else 0 for byte in range(256))
_GIANT = b"0" * 100
"""Only such a run of digits needs a look at every integer of the request: reading a long one takes the square of its length, and Python
refuses one of 4300 digits."""
MOST_ITEMS = 10_000
"""Events that one request can have at all, whatever its limit is set to."""
_LONG = 262_144
"""Bytes from which a body's events are counted before any is read: those of a shorter one, of three bytes each, are read in moments."""
_NUL = b"\\u0000"

Key = Annotated[str, Meta(max_length=MAX_KEY)]
Integer = Annotated[int, Meta(ge=-(2**63), le=LARGEST_INTEGER)]
_Leaf = None | bool | Integer | float | str
_Below3 = _Leaf | list[_Leaf] | dict[Key, _Leaf]
_Below2 = _Leaf | list[_Below3] | dict[Key, _Below3]
_Below1 = _Leaf | list[_Below2] | dict[Key, _Below2]
Value = _Leaf | list[_Below1] | dict[Key, _Below1]
"""A clean value, five levels deep: what real events have. Anything deeper takes the lenient path."""


class Incoming(msgspec.Struct, kw_only=True, gc=False, forbid_unknown_fields=True):
    """One posted event, fields as they came."""

    type: str = ""
    customer: str | Integer | float | None = None
    subject: str | Integer | float | None = None
    id: str | Integer | float | None = None
    time: datetime | Integer | float | None = None
    data: dict[Key, Value] | None = None
    source: str | None = None
    historical: bool | None = None
    traceparent: str | None = None
    anonymous: str | Integer | float | None = None
    sent_at: datetime | Integer | float | None = None
    signature: str | None = None
    specversion: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None


class Unreadable(NamedTuple):
    """An event that its door could not read: why, and what came, so that it is answered and kept as a dead letter."""

    error: InvalidEvent
    original: Any


class _Posted(Incoming, kw_only=True, gc=False, forbid_unknown_fields=True):
    batch: list[Incoming] | None = None


Item = Incoming | Unreadable | Any
"""An event that needs no cleaning, one that could not be read, or whatever JSON stood in its place."""


class _Counted(msgspec.Struct):
    batch: list[msgspec.Raw] | None = None


_one = msgspec.json.Decoder(_Posted)
_many = msgspec.json.Decoder(list[Incoming])
_any = msgspec.json.Decoder()
_one_counted = msgspec.json.Decoder(_Counted)
_many_counted = msgspec.json.Decoder(list[msgspec.Raw])


def read_items(body: bytes) -> Sequence[Item]:
    """Return what was posted, one item an event, in order.

    Raises `InvalidEvent` (`invalid_json`) where the body is no JSON at all, or neither an object nor an array, and `batch_too_large`.
    """
    if len(body) > _LONG and body.count(b"{") > MOST_ITEMS:
        _count(body)
    items = _read_strictly(body)
    if items is None:
        items = _unwrap_raw(_read_leniently(body))
    _check_number(len(items))
    return items


def has_nul(body: bytes) -> bool:
    """Say whether a NUL may stand in the JSON: strict readers let the escape pass, so a body with it is not for them."""
    return b"\\" in body and _NUL in body  # most bodies have no escape at all, and one character is found in a fortieth of the time


def read_json(body: bytes) -> Any:
    """Return a body's JSON as it is, read as leniently as `read_items` does; for doors whose shape is not ours.

    What is in it still needs cleaning. Raises `InvalidEvent` (`invalid_json`, `too_deep`).
    """
    try:
        return _any.decode(body)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return _read_leniently(body)


def _read_strictly(body: bytes) -> Sequence[Incoming] | None:
    """Return the events of a body in which nothing needs a closer look, else None."""
    if has_nul(body):
        return None
    try:
        return _many.decode(body) if body[:1] == b"[" else _unwrap(_one.decode(body))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def _count(body: bytes) -> None:
    """Refuse more events than a request can have: to count them takes a fifth of what it takes to read and forget them."""
    try:
        found = _many_counted.decode(body) if body[:1] == b"[" else _one_counted.decode(body).batch
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return  # it is no JSON, or needs a closer look: whoever takes it says so
    _check_number(len(found or ()))


def _check_number(items: int) -> None:
    if items > MOST_ITEMS:
        raise InvalidEvent(f"a request has at most {MOST_ITEMS} events, not {items}", code="batch_too_large", pointer="")


def _unwrap(posted: _Posted) -> Sequence[Incoming]:
    return (posted,) if posted.batch is None else posted.batch


def _unwrap_raw(posted: Any) -> Sequence[Any]:
    if isinstance(posted, list):
        return posted
    if not isinstance(posted, dict):
        raise InvalidEvent("post an object or an array of objects", code="invalid_json", pointer="")
    batch = posted.get("batch")
    return batch if isinstance(batch, list) else (posted,)


def _read_leniently(body: bytes) -> Any:
    """Parse what strict parsers refuse: NaN is null, invalid UTF-8 is U+FFFD, control characters are text, a byte order mark is skipped."""
    has_giant = _GIANT in body.translate(_DIGITS_AS_ZERO)
    text = body.decode("utf-8-sig", errors="replace")
    try:
        return json.loads(text, strict=False, parse_constant=_as_null, parse_int=_as_integer if has_giant else None)
    except RecursionError as error:
        raise InvalidEvent("the JSON is nested too deeply", code="too_deep", pointer="") from error
    except ValueError as error:
        raise InvalidEvent(f"the body is no JSON: {error}", code="invalid_json", pointer="") from error


def _as_null(_constant: str) -> None:
    return None


def _as_integer(digits: str) -> int | str:
    """Keep an integer over 64 bits as its digits: it is somebody's identifier, and no float has room for it."""
    number = int(digits) if len(digits) <= _LONGEST_INTEGER else None
    return number if number is not None and -LARGEST_INTEGER - 1 <= number <= LARGEST_INTEGER else digits
