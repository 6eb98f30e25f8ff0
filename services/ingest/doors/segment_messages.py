"""The messages of Segment's clients as they come, and what they are in our shape.

The spec: https://segment.com/docs/connections/spec/ . RudderStack's and Customer.io Pipelines' clients send the same, but for small
things, each of which is met here: identify's traits only in `context.traits`, `originalTimestamp` instead of `timestamp`, an empty text
or null for an id that is absent, `[]` for an empty object.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from services.contracts.aliases import Aliases
from services.contracts.errors import InvalidEvent
from services.contracts.event_times import read_time
from services.contracts.incoming import Incoming, Integer, Key, Value
from services.ingest.doors.fields import object_of, text_of

Id = str | Integer | float | None
Time = datetime | Integer | float | None
Object = dict[Key, Value] | None
_PARTS = {
    "library": frozenset({"name", "version"}),
    "device": frozenset({"type"}),
    "location": frozenset({"country"}),
    "consent": frozenset({"categoryPreferences"}),
}
KEPT = frozenset({"ip", "locale", "timezone", "userAgent", "page", "campaign", "groupId", "channel", *_PARTS})
"""What is kept of a context; of `library` and `device` what tells one kind from another, of `location` what phone numbers need,
of `consent` what a consent manager says of its categories."""


class Message(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """One message; fields that are not here are allowed and not used."""

    type: str | None = None
    event: str | None = None
    name: str | None = None
    category: str | None = None
    user_id: Id = None
    anonymous_id: Id = None
    previous_id: Id = None
    group_id: Id = None
    message_id: Id = None
    timestamp: Time = None
    original_timestamp: Time = None
    sent_at: Time = None
    properties: Object = None
    traits: Object = None
    context: Object = None
    write_key: str | None = None


class Posting(Message, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """What a request holds: one message, or a batch with what its messages have in common."""

    batch: list[Message] | None = None


class Shared:
    """What the messages of a request have in common: their kind where the path says it, the batch's context and time of sending."""

    def __init__(self, aliases: Aliases, kind: str, context: Any = None, sent_at: Any = None) -> None:
        self.aliases = aliases
        self.kind = kind
        self.sent_at = usable(sent_at)
        self._context = context if isinstance(context, dict) else {}
        self._last: Any = None
        self._kept = _kept(self._context)

    def context_of(self, message: Message) -> dict[str, Any]:
        """Return what is kept of a message's context and the batch's, not to be changed: a server's messages have the same, made once."""
        own = message.context
        if own is not self._last and own != self._last:
            self._last = own
            self._kept = _kept({**self._context, **own} if isinstance(own, dict) else self._context)
        return self._kept


def message_of(raw: Any) -> Message:
    """Return an object of parsed JSON as a message whose fields may still be anything; raises `InvalidEvent` where it is none."""
    if not isinstance(raw, dict):
        raise InvalidEvent("a message is a JSON object", code="not_an_object", pointer="")
    return Message(**{field: raw[name] for name, field in _NAMES.items() if name in raw})


_NAMES = {field.encode_name: field.name for field in msgspec.structs.fields(Message)}


def incoming_of(message: Message, shared: Shared) -> Incoming:
    """Return a message in our shape; what needed cleaning before needs it still.

    Raises `InvalidEvent` where the kind, the event's name or an id that the kind demands is missing.
    """
    kind = shared.kind or message.type
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        shown = repr(kind[:20]) if isinstance(kind, str) else "none"
        raise InvalidEvent(f"type is one of {', '.join(_READERS)}, not {shown}", code="unknown_type", pointer="/type")
    found = reader(message, shared.aliases)
    found.id = message.message_id
    _set_times(found, message, shared.sent_at)
    found.signature = text_of(object_of(message.context).get("signature")) or None
    if (context := shared.context_of(message)) and isinstance(found.data, dict):
        found.data["context"] = context  # data is nobody else's: parsed for us, or made here
    return found


def _track(message: Message, aliases: Aliases) -> Incoming:
    name = message.event
    if not isinstance(name, str) or not name.strip():
        raise InvalidEvent("track needs the name of an event", code="missing_event", pointer="/event")
    event_type, data = aliases.translate(name, _object(message.properties))
    return Incoming(type=event_type, customer=message.user_id, anonymous=message.anonymous_id, data=data)


def _identify(message: Message, _aliases: Aliases) -> Incoming:
    return _by_anyone(message, "customer.identified", {"traits": _traits(message)})


def _page(message: Message, _aliases: Aliases) -> Incoming:
    return _by_anyone(message, "page.viewed", _named(message))


def _screen(message: Message, _aliases: Aliases) -> Incoming:
    return _by_anyone(message, "screen.viewed", _named(message))


def _group(message: Message, _aliases: Aliases) -> Incoming:
    if _is_absent(message.group_id):
        raise InvalidEvent("group needs a groupId", code="missing_group", pointer="/groupId")
    return _by_anyone(message, "customer.grouped", {"group_id": message.group_id, "traits": _object(message.traits)})


def _alias(message: Message, _aliases: Aliases) -> Incoming:
    """Two ids are one person; equal ones say nothing, as analytics.js sends them after an identify, and do no harm."""
    if _is_absent(message.user_id):
        raise InvalidEvent("alias needs a userId", code="missing_customer", pointer="/userId")
    previous = message.anonymous_id if _is_absent(message.previous_id) else message.previous_id
    return Incoming(type="customer.identified", customer=message.user_id, anonymous=previous, data={})


_READERS: dict[str, Callable[[Message, Aliases], Incoming]] = {
    "track": _track,
    "identify": _identify,
    "page": _page,
    "screen": _screen,
    "group": _group,
    "alias": _alias,
}


def _by_anyone(message: Message, event_type: str, data: Any) -> Incoming:
    return Incoming(type=event_type, customer=message.user_id, anonymous=message.anonymous_id, data=data)


def _named(message: Message) -> Any:
    """Return the properties of a page or screen, with its name and category, which clients put there or beside them or both."""
    properties = _object(message.properties)
    if not isinstance(properties, dict):
        return properties
    beside = {"name": message.name, "category": message.category}
    return {name: value for name, value in beside.items() if isinstance(value, str) and name not in properties} | properties


def _traits(message: Message) -> Any:
    """Return identify's traits; RudderStack's clients send them in the context, and there only."""
    traits = _object(message.traits)
    context = message.context
    within = context.get("traits") if isinstance(context, dict) else None
    return {**within, **traits} if isinstance(within, dict) and isinstance(traits, dict) else traits


def _object(value: Any) -> Any:
    """Return an empty object for what PHP's clients call one: `[]`."""
    return {} if value is None or value == [] else value


def _is_absent(given: Any) -> bool:
    return given is None or (isinstance(given, str) and not given.strip())


def _set_times(found: Incoming, message: Message, sent_at: Any) -> None:
    """Set when it happened by the client's clock, and when it was sent by the same, where the first is to be corrected by the second.

    Segment corrects `timestamp`, RudderStack only `originalTimestamp`: where both are given, the first is right already.
    """
    found.time = message.original_timestamp if message.timestamp is None else message.timestamp
    if message.timestamp is None or message.original_timestamp is None:
        found.sent_at = sent_at if message.sent_at is None else usable(message.sent_at)


def usable(sent_at: Any) -> Any:
    """Return a time of sending, None for one that says nothing sure: what depends on it is a correction, no reason to refuse an event."""
    try:
        moment = sent_at if isinstance(sent_at, datetime) else read_time(sent_at, "sent_at")
    except InvalidEvent:
        return None
    return None if isinstance(moment, datetime) and moment.tzinfo is None else sent_at


def _kept(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a context: little of a browser's is about the customer."""
    kept = {name: value for name, value in given.items() if value and name in KEPT}
    for whole, parts in _PARTS.items():
        value = kept.get(whole)
        if isinstance(value, dict) and not value.keys() <= parts:
            kept[whole] = {part: each for part, each in value.items() if part in parts}
    if "consent" not in kept and (preferences := _managed(given.get("consentManagement"))):
        kept["consent"] = {"categoryPreferences": preferences}
    zone = kept.get("timezone")
    if isinstance(zone, str) and zone.startswith("GMT"):
        del kept["timezone"]  # RudderStack's "GMT+0300" is the offset of one moment, no zone
    return kept


def _managed(given: Any) -> dict[str, bool]:
    """Return RudderStack's `consentManagement` as Segment's `categoryPreferences`: what is denied wins."""
    said = given if isinstance(given, dict) else {}
    lists = [(said.get("allowedConsentIds"), True), (said.get("deniedConsentIds"), False)]
    return {each: allowed for ids, allowed in lists if isinstance(ids, list) for each in ids if isinstance(each, str)}
