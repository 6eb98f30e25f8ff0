"""The event normaliser: one posted object in, one `Event` or one `InvalidEvent` out. Pure: the caller says what time it is.

The rules, each with its test:

* an empty or null id is an absent one; numbers become strings; ids are trimmed; placeholders such as "null" are refused
* an event without an id gets a new one (`generated`): a repeat of it can't be recognised; one over 100 characters is replaced by its
  SHA-256 (`hashed`)
* `time` is ISO 8601 with an offset, or Unix seconds or milliseconds; one without an offset is refused, since a guess may be hours wrong;
  with `sent_at` it becomes received - (sent_at - time), as Segment's clients expect of a server: their clock's error goes away;
  it is moved into [received - 30 days, received], historical events only to the upper end (`clamped`); the client's own is kept
* who has no `customer` is his `anonymous` id; beside a customer it is kept, unless it is a placeholder
* `source` is the write key's name, unless a server key names another; only a server key may post historical events
* types that Povod publishes itself (`message.*`, `povod.*`) are refused
* where the key asks for it, a customer's id must be signed; a visitor's id is then one that nobody can guess
* an invalid `traceparent` is dropped, as W3C Trace Context wants it
* e-mail addresses and phone numbers of identifying events get one form; what is none is left out with a warning
"""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

import msgspec
from msgspec import UNSET, UnsetType

from services.contracts.addresses import DEFAULT_REGION, clean_addresses
from services.contracts.errors import InvalidEvent
from services.contracts.event_times import corrected, moment_of, read_time, within
from services.contracts.events import RESERVED_PREFIXES, Event
from services.contracts.hygiene import clean_object, pointer_of
from services.contracts.ids import CustomerId, EventId
from services.contracts.incoming import Incoming, Item
from services.contracts.merges import IDENTIFYING
from services.contracts.trace import parse_traceparent

MAX_CUSTOMER = 255
MAX_ID = 100
MAX_TYPE = 128
MAX_SOURCE = 255
PLACEHOLDERS = frozenset({"null", "undefined", "none", "nan", "anonymous", "guest", "[object object]", "true", "false"})
"""What broken clients send where an id should stand (compared in lower case)."""
_UNGUESSABLE = re.compile(r"[^@\s]{20,}")
"""What libraries call visitors: a UUID or longer."""
_LONGEST_PLACEHOLDER = max(map(len, PLACEHOLDERS))


class Reception(NamedTuple):
    """What a request says of every event in it.

    `source` is the write key's name; `trusted` a server key, which may name another source and post historical events. `bot`: a program
    sent it that is known to be no customer. `is_signed`, where it must be proved whom an event speaks for: says whether a customer id and
    a signature belong together. `phone_region`: the country of phone numbers without a code, where an event names none.
    """

    source: str
    trusted: bool
    received_at: datetime
    new_id: Callable[[], str]
    traceparent: str | None = None
    bot: bool = False
    is_signed: Callable[[str, str | None], bool] | None = None
    phone_region: str = DEFAULT_REGION


class Normalised(msgspec.Struct, frozen=True, gc=False):
    """An event fit for the log, and what was done to it that its sender should know: `warnings` say what was left out."""

    event: Event
    generated: bool = False
    hashed: bool = False
    clamped: bool = False
    warnings: tuple[str, ...] = ()


def normalise(item: Item, reception: Reception) -> Normalised:
    """Judge and clean one posted event; raises `InvalidEvent` with `code`, `message` and `pointer`."""
    incoming = item if isinstance(item, Incoming) else _admit(item)
    event_type = _type(incoming.type.strip())  # before it is remembered: blanks without end are no part of a type
    customer = _customer(incoming)
    if reception.is_signed is not None:
        _check_signature(customer, incoming, reception.is_signed)
    given = _identifier(incoming.id, "/id")
    historical = _historical(incoming, reception)
    stated = moment_of(incoming.time, reception.received_at, "/time")
    time = stated if incoming.sent_at is None or incoming.time is None else corrected(stated, incoming.sent_at, reception.received_at)
    kept = within(time, reception.received_at, historical=historical)
    hashed = len(given) > MAX_ID
    data, warnings = _identifying_data(incoming.data, reception.phone_region) if event_type in IDENTIFYING else (incoming.data or {}, ())
    return Normalised(
        Event(
            id=EventId(_hash(given) if hashed else given or reception.new_id()),
            type=event_type,
            source=_source(incoming.source, reception),
            subject=CustomerId(customer),
            time=kept,
            receivedtime=reception.received_at,
            data=data,
            historical=historical,
            traceparent=reception.traceparent
            if incoming.traceparent is None
            else valid_traceparent(incoming.traceparent) or reception.traceparent,
            anonymousid=UNSET if incoming.anonymous is None else _companion(incoming, customer),
            unproved=True if incoming.anonymous is not None and not reception.trusted and event_type in IDENTIFYING else UNSET,
            originaltime=UNSET if kept is stated else stated,
            bot=True if reception.bot else UNSET,
        ),
        not given,
        hashed,
        kept is not time,
        warnings,
    )


def valid_traceparent(text: str | None) -> str | None:
    """Return a W3C `traceparent` that can be carried on, else None (https://www.w3.org/TR/trace-context/)."""
    return text if parse_traceparent(text) else None


def _identifying_data(given: dict[str, Any] | None, region: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    data, warnings = clean_addresses(given or {}, region)
    return data, tuple(warnings)


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
    close = [_THEIRS[field]] if field in _THEIRS else get_close_matches(field, _FIELDS, n=1)
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
    "time": read_time,
    "data": _object,
    "source": _text,
    "historical": _flag,
    "traceparent": _text,
    "anonymous": _id,
    "sent_at": read_time,
    "signature": _text,
    "specversion": _ignored,
    "datacontenttype": _ignored,
    "dataschema": _ignored,
}
_THEIRS = {
    **dict.fromkeys(("event", "name"), "type"),
    **dict.fromkeys(("userId", "user_id", "distinct_id"), "customer"),
    **dict.fromkeys(("anonymousId", "anonymous_id"), "anonymous"),
    **dict.fromkeys(("properties", "props", "payload", "traits"), "data"),
    **dict.fromkeys(("messageId", "uuid"), "id"),
    "timestamp": "time",
}
"""What other libraries call our fields: for the suggestion only, their own doors read them."""


@lru_cache(maxsize=1024)
def _type(name: str) -> str:
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
    if not found and incoming.anonymous is not None:
        found = _identifier(incoming.anonymous, "/anonymous")
    if not found:
        _refuse("missing_customer", "an event needs a customer: your own id of the person, or an anonymous one", "/customer")
    if len(found) > MAX_CUSTOMER:
        _refuse("customer_too_long", f"a customer id has at most {MAX_CUSTOMER} characters, this one {len(found)}", "/customer")
    return found


def _check_signature(customer: str, incoming: Incoming, is_signed: Callable[[str, str | None], bool]) -> None:
    """Refuse who speaks for a customer without proof, be it by calling himself a visitor of that id: both ids are of one kind to us."""
    visitor = "" if incoming.anonymous is None else _trimmed(incoming.anonymous)
    if visitor and not _is_placeholder(visitor) and not _UNGUESSABLE.fullmatch(visitor):
        why = "with this key a visitor's id has 20 characters or more and no @: a short one may be some customer's"
        _refuse("bad_signature", why, "/anonymous")
    if customer != visitor and not is_signed(customer, incoming.signature):
        what = "does not belong to this customer" if incoming.signature else "is missing"
        _refuse("bad_signature", f"this key asks for a signature of the customer's id, and it {what}", "/signature")


def _companion(incoming: Incoming, customer: str) -> str | UnsetType:
    """Return the anonymous id that an event has beside its customer, or instead of one; a useless one is as good as none."""
    text = _trimmed(incoming.anonymous or "")
    if text == customer:
        return UNSET if incoming.customer or incoming.subject else text
    return UNSET if not text or len(text) > MAX_CUSTOMER or _is_placeholder(text) else text


def _identifier(value: str | float | None, pointer: str) -> str:
    """Return an id as trimmed text, empty where it is absent."""
    if value is None:
        return ""
    text = value.strip() if isinstance(value, str) else _trimmed(value)
    if len(text) <= _LONGEST_PLACEHOLDER and _is_placeholder(text):
        _refuse("placeholder_id", f"{text!r} is what broken clients send for nobody; leave it out or send a real id", pointer)
    return text


def _trimmed(value: str | float) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _is_placeholder(text: str) -> bool:
    return text.lower() in PLACEHOLDERS


def _source(given: str | None, reception: Reception) -> str:
    if not given or not reception.trusted:
        return reception.source
    source = given.strip()
    if len(source) > MAX_SOURCE:
        _refuse("invalid_source", f"a source has at most {MAX_SOURCE} characters", "/source")
    return source or reception.source


def _historical(incoming: Incoming, reception: Reception) -> bool:
    if incoming.historical and not reception.trusted:
        _refuse("not_allowed", "a browser key can't post historical events; use a server key", "/historical")
    return bool(incoming.historical)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse(code: str, message: str, pointer: str) -> NoReturn:
    raise InvalidEvent(message, code=code, pointer=pointer)
