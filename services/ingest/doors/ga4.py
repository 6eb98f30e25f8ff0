"""Google Analytics 4's Measurement Protocol, for senders that point here: `POST /mp/collect?measurement_id=G-...&api_secret=WRITE_KEY`.

    {"client_id": "...", "user_id": "...", "timestamp_micros": 1795341600000000, "user_properties": {"plan": {"value": "pro"}},
     "events": [{"name": "purchase", "params": {...}}]}

`api_secret` is the write key; `user_id` is the customer, `client_id` (or `app_instance_id`) the visitor. The protocol knows no ids of
events: where it states the time, a repeat of the same request is known by all that is in it. `/debug/mp/collect` stores nothing, and
says what is wrong. See https://developers.google.com/analytics/devguides/collection/protocol/ga4/reference
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import msgspec

from services.contracts.aliases import load_aliases
from services.contracts.errors import InvalidEvent
from services.contracts.incoming import Item, Unreadable, read_json
from services.contracts.normalise import Reception, normalise
from services.ingest.doors.fields import object_of, stated
from services.ingest.doors.port import JSON, Answer, Door, KeyPlace, Parcel, Posted
from services.ingest.judge import Judged

COLLECT_PATH = "/mp/collect"
DEBUG_PATH = "/debug/mp/collect"
_BOOKKEEPING = frozenset({"engagement_time_msec", "debug_mode"})
_IDENTIFIED = "customer.identified"
_LOGIN = "login"
_THEIRS = {".type": ".name", ".time": ".timestamp_micros"}
"""Where an event says what we call so."""
_NOTHING = Answer(204, JSON, b"")
_encoder = msgspec.json.Encoder()


class ValidationMessage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is wrong with an event, in Google's words."""

    field_path: str
    description: str
    validation_code: str


class DebugAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of the debug endpoint's 200; empty where all is well."""

    validation_messages: list[ValidationMessage]


class Ga4Door(Door):
    """`/mp/collect`."""

    name = "ga4"
    key_place: KeyPlace = "body"

    def read(self, posted: Posted) -> Parcel:
        """Return the events; raises `InvalidEvent`: `invalid_json`, `too_deep`, `empty_batch`."""
        return Parcel([item for _, item in _items(posted)], posted.query.get("api_secret", ""))

    def accept(self, posted: Posted, judged: Judged) -> Answer:  # noqa: ARG002 - the port's
        """Answer 204 with nothing, as Google does: what was rejected stands in the dead letters, and at the debug endpoint."""
        return _NOTHING


class Ga4DebugDoor(Door):
    """`/debug/mp/collect`: takes nothing in."""

    name = "ga4_debug"
    key_place: KeyPlace = "body"

    def read(self, posted: Posted) -> Parcel:
        """Return the key, and no events; raises `InvalidEvent`: `invalid_json`, `too_deep`, `empty_batch`."""
        for _ in _items(posted):
            pass
        return Parcel((), posted.query.get("api_secret", ""))

    def accept(self, posted: Posted, judged: Judged) -> Answer:  # noqa: ARG002 - the port's
        """Answer 200 with what would have been rejected."""
        reception = Reception("debug", trusted=True, received_at=posted.received_at, new_id=lambda: "debug")
        found = [message for path, item in _items(posted) for message in _messages(path, item, reception)]
        return Answer(200, JSON, _encoder.encode(DebugAnswer(validation_messages=found)))


def _items(posted: Posted) -> Iterator[tuple[str, Item]]:
    """Yield each event with its place in the request: first what is known of the person, then what he did."""
    body = read_json(posted.body)
    events = object_of(body).get("events", [])
    if not isinstance(body, dict) or not isinstance(events, list):
        raise InvalidEvent("post an object with events, an array", code="invalid_json", pointer="/events")
    person = _person(body, events)
    if person is None and not events:
        raise InvalidEvent("there is no event in this request", code="empty_batch", pointer="/events")
    if person is not None:
        yield "user_properties", person
    for index, event in enumerate(events):
        yield f"events[{index}]", _event(body, index, event)


def _event(body: dict[str, Any], index: int, event: Any) -> Item:
    if not isinstance(event, dict):
        return Unreadable(InvalidEvent("an event is a JSON object", code="not_an_object", pointer=""), event)
    name, micros = event.get("name"), event.get("timestamp_micros", body.get("timestamp_micros"))
    params = {key: value for key, value in object_of(event.get("params")).items() if key not in _BOOKKEEPING}
    event_type, data = load_aliases("ga4").translate(name, params) if isinstance(name, str) else (name, params)
    try:
        event_id = None if micros is None else _derived_id(body, index, name, micros, params)
    except RecursionError:
        return Unreadable(InvalidEvent("the event is nested too deeply", code="too_deep", pointer=""), None)
    return {**_who(body), "type": event_type, "data": {**data, **_context(body)}} | stated({"id": event_id, "time": _time(micros)})


def _person(body: dict[str, Any], events: list[Any]) -> Item | None:
    """Return what becomes known of the person: properties, and at a login whose visitor he was."""
    traits = {name: object_of(value).get("value") for name, value in object_of(body.get("user_properties")).items()}
    has_logged_in = "customer" in _who(body) and any(object_of(event).get("name") == _LOGIN for event in events)
    if not traits and not has_logged_in:
        return None
    micros = body.get("timestamp_micros")
    time = stated({"time": _time(micros)})
    return {**_who(body), "type": _IDENTIFIED, "data": {**stated({"traits": traits}), **_context(body)}, **time}


def _who(body: dict[str, Any]) -> dict[str, Any]:
    visitor = body.get("client_id") or body.get("app_instance_id")
    return stated({"customer": body.get("user_id"), "anonymous": visitor})


def _context(body: dict[str, Any]) -> dict[str, Any]:
    device = object_of(body.get("device"))
    context = {
        "ip": body.get("ip_override"),
        "userAgent": body.get("user_agent"),
        "locale": device.get("language"),
        "device": stated({"type": device.get("category")}),
    }
    return stated({"context": stated(context)})


def _time(micros: Any) -> Any:
    """Return microseconds, a number or its digits, as milliseconds; anything else as it is, for the normaliser to judge."""
    if isinstance(micros, str) and micros.isascii() and micros.isdigit() and len(micros) <= 20:
        micros = int(micros)
    return micros / 1000 if isinstance(micros, (int, float)) and not isinstance(micros, bool) and abs(micros) < 1e18 else micros


def _derived_id(body: dict[str, Any], index: int, *event: Any) -> str:
    """Return the id that a repeat of the same request will have again; the place tells two equal events of one request apart."""
    text = json.dumps([_who(body), index, *event], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _messages(path: str, item: Item, reception: Reception) -> Iterator[ValidationMessage]:
    """Yield why an event would be rejected, or what would be left out of it."""
    try:
        if isinstance(item, Unreadable):
            raise item.error
        warnings = normalise(item, reception).warnings
    except InvalidEvent as error:
        code = "VALUE_REQUIRED" if error.code.startswith("missing_") else "VALUE_INVALID"
        pointer = (error.pointer or "").replace("/", ".")
        place = f"{path}{_THEIRS.get(pointer, pointer)}"
        yield ValidationMessage(field_path=place, description=f"{error.code}: {error.message}", validation_code=code)
    else:
        for warning in warnings:
            yield ValidationMessage(field_path=path, description=warning, validation_code="VALUE_INVALID")
