"""The event normaliser: one posted object in, one `Event` or one `InvalidEvent` out. Pure: the door says what time it is.

The rules, each with its test:

* an empty or null id is an absent one; numbers become strings; ids are trimmed; placeholders such as "null" are refused
* an event without an id gets a new one (`generated`): a repeat of it can't be recognised; one over 100 characters is replaced by its
  SHA-256 (`hashed`)
* `time` is ISO 8601 with an offset, or Unix seconds or milliseconds; one without an offset is refused, since a guess may be hours wrong;
  it is moved into [received - 30 days, received], historical events only to the upper end (`clamped`)
* `source` is the write key's name, unless a server key names another; only a server key may post historical events
* types that Povod publishes itself (`message.*`, `povod.*`) are refused
* an invalid `traceparent` is dropped, as W3C Trace Context wants it
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

import msgspec

from services.contracts.errors import InvalidEvent
from services.contracts.events import RESERVED_PREFIXES, Event
from services.contracts.hygiene import clean_object, pointer_of
from services.contracts.ids import CustomerId, EventId
from services.contracts.incoming import Incoming, Item
from services.contracts.trace import parse_traceparent

MAX_CUSTOMER = 255
MAX_ID = 100
MAX_TYPE = 128
MAX_SOURCE = 255
MAX_AGE = timedelta(days=30)
"""How far back `time` may lie unless the event is historical."""
PLACEHOLDERS = frozenset({"null", "undefined", "none", "nan", "anonymous", "guest", "[object object]", "true", "false"})
"""What broken clients send where an id should stand (compared in lower case)."""
_LONGEST_PLACEHOLDER = max(map(len, PLACEHOLDERS))
_MILLISECONDS_FROM = 100_000_000_000
"""Unix numbers from here on are milliseconds: as seconds they would be the year 5138."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Door(NamedTuple):
    """What the request says of every event in it.

    `source` is the write key's name; `trusted` a server key, which may name another source and post historical events.
    """

    source: str
    trusted: bool
    received_at: datetime
    new_id: Callable[[], str]
    traceparent: str | None = None


class Normalised(NamedTuple):
    """An event fit for the log, and what was done to it that its sender should know."""

    event: Event
    generated: bool = False
    hashed: bool = False
    clamped: bool = False


def normalise(item: Item, door: Door) -> Normalised:
    """Judge and clean one posted event; raises `InvalidEvent` with `code`, `message` and `pointer`."""
    incoming = item if isinstance(item, Incoming) else _admit(item)
    event_type = _type(incoming.type)
    customer = _customer(incoming)
    given = _identifier(incoming.id, "/id")
    historical = _historical(incoming, door)
    time = _moment(incoming.time, door.received_at)
    kept = _within(time, door.received_at, historical=historical)
    hashed = len(given) > MAX_ID
    return Normalised(
        Event(
            id=EventId(_hash(given) if hashed else given or door.new_id()),
            type=event_type,
            source=_source(incoming.source, door),
            subject=CustomerId(customer),
            time=kept,
            receivedtime=door.received_at,
            data=incoming.data or {},
            historical=historical,
            traceparent=door.traceparent if incoming.traceparent is None else valid_traceparent(incoming.traceparent) or door.traceparent,
        ),
        generated=not given,
        hashed=hashed,
        clamped=kept is not time,
    )


def valid_traceparent(text: str | None) -> str | None:
    """Return a W3C `traceparent` that can be carried on, else None (https://www.w3.org/TR/trace-context/)."""
    return text if parse_traceparent(text) else None


def _admit(raw: Any) -> Incoming:
    """Clean an object of the lenient path and give its fields their types."""
    if not isinstance(raw, dict):
        _refuse("not_an_object", "an event is a JSON object", "")
    cleaned = clean_object(raw)
    for field in cleaned:
        if field not in _FIELDS:
            _refuse("unknown_field", f"there is no field {field[:MAX_ID]!r}{_suggestion(field)}", pointer_of([field]))
    return Incoming(**{field: _FIELDS[field](value, field) for field, value in cleaned.items()})


@lru_cache(maxsize=256)
def _suggestion(field: str) -> str:
    close = ["data"] if field in {"properties", "props", "payload", "traits"} else get_close_matches(field, _FIELDS, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _text(value: Any, field: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return _refuse(f"invalid_{field}", f"{field} must be text", f"/{field}")


def _required_text(value: Any, field: str) -> str:
    return _text(value, field) or ""


def _id(value: Any, field: str) -> str | int | float | None:
    if value is None or (isinstance(value, (str, int, float)) and not isinstance(value, bool)):
        return value
    return _refuse(f"invalid_{field}", f"{field} must be text or a number", f"/{field}")


def _time(value: Any, field: str) -> datetime | int | float | None:
    if not isinstance(value, str):
        number = _id(value, field)
        return number if not isinstance(number, str) else None
    text = value.strip()
    if not text:
        return None
    try:
        return msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return _parse_iso(text)


def _parse_iso(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return _refuse("invalid_time", f"{text[:MAX_ID]!r} is no ISO 8601 time", "/time")


def _object(value: Any, field: str) -> dict[str, Any] | None:
    if value is None or isinstance(value, dict):
        return value
    return _refuse(f"invalid_{field}", f"{field} must be an object", f"/{field}")


def _flag(value: Any, field: str) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    return _refuse(f"invalid_{field}", f"{field} must be true or false", f"/{field}")


def _ignored(_value: Any, _field: str) -> None:
    return None


_FIELDS: dict[str, Callable[[Any, str], Any]] = {
    "type": _required_text,
    "customer": _id,
    "subject": _id,
    "id": _id,
    "time": _time,
    "data": _object,
    "source": _text,
    "historical": _flag,
    "traceparent": _text,
    "specversion": _ignored,
    "datacontenttype": _ignored,
    "dataschema": _ignored,
}


@lru_cache(maxsize=1024)
def _type(given: str) -> str:
    name = given.strip()
    if not name:
        _refuse("missing_type", "an event needs a type, such as product.added", "/type")
    if len(name) > MAX_TYPE or not name.isprintable():
        _refuse("invalid_type", f"a type has at most {MAX_TYPE} printable characters", "/type")
    if name.startswith(RESERVED_PREFIXES):
        _refuse("reserved_type", f"{name} is published by Povod itself and can't be posted", "/type")
    return name


def _customer(incoming: Incoming) -> str:
    """Return the customer; `customer` and CloudEvents' `subject` are two words for it."""
    found = _identifier(incoming.customer, "/customer")
    if incoming.subject is not None:
        subject = _identifier(incoming.subject, "/subject")
        if found and subject and found != subject:
            _refuse("conflicting_customer", "customer and subject name two people", "/subject")
        found = found or subject
    if not found:
        _refuse("missing_customer", "an event needs a customer: your own id of the person", "/customer")
    if len(found) > MAX_CUSTOMER:
        _refuse("customer_too_long", f"a customer id has at most {MAX_CUSTOMER} characters, this one {len(found)}", "/customer")
    return found


def _identifier(value: str | float | None, pointer: str) -> str:
    """Return an id as trimmed text, empty where it is absent."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    if len(text) <= _LONGEST_PLACEHOLDER and text.lower() in PLACEHOLDERS:
        _refuse("placeholder_id", f"{text!r} is what broken clients send for nobody; leave it out or send a real id", pointer)
    return text


def _source(given: str | None, door: Door) -> str:
    if not given or not door.trusted:
        return door.source
    source = given.strip()
    if len(source) > MAX_SOURCE:
        _refuse("invalid_source", f"a source has at most {MAX_SOURCE} characters", "/source")
    return source or door.source


def _historical(incoming: Incoming, door: Door) -> bool:
    if incoming.historical and not door.trusted:
        _refuse("not_allowed", "a browser key can't post historical events; use a server key", "/historical")
    return bool(incoming.historical)


def _moment(time: datetime | float | None, received_at: datetime) -> datetime:
    if time is None:
        return received_at
    if not isinstance(time, datetime):
        return _from_unix(time)
    if time.tzinfo is UTC:
        return time
    if time.tzinfo is None:
        _refuse("naive_time", f"{time.isoformat()} has no offset: add Z or +03:00", "/time")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        return _refuse("invalid_time", f"{time.isoformat()} is outside the years 1 to 9999", "/time")


def _from_unix(number: float) -> datetime:
    try:
        seconds = number / 1000 if abs(number) >= _MILLISECONDS_FROM else number
        return _EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return _refuse("invalid_time", f"{number} is no Unix time", "/time")


def _within(time: datetime, received_at: datetime, *, historical: bool) -> datetime:
    """Return the time itself where it may stand, else the nearest that may."""
    if time > received_at:
        return received_at
    if historical or time >= (oldest := received_at - MAX_AGE):
        return time
    return oldest


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse(code: str, message: str, pointer: str) -> NoReturn:
    raise InvalidEvent(message, code=code, pointer=pointer)
