"""What Customer.io's Track API is told of people, as events of ours: the operations of `/api/v2/batch`, to which the older paths come down.

    {"type": "person", "action": "event", "identifiers": {"id": "u1"}, "name": "Order Completed", "attributes": {...}}

See https://docs.customer.io/integrations/api/track/ . An identifier is the customer's id whatever its kind (`id`, `email`, `cio_id`).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from services.contracts.aliases import Aliases, load_aliases
from services.contracts.errors import InvalidEvent
from services.contracts.incoming import Item, Unreadable
from services.ingest.doors.fields import object_of, stated, text_of

SUPPRESSED_CHANNELS = ("email", "sms", "telegram")
"""Where a customer who is suppressed, or has the attribute `unsubscribed`, has his consent withdrawn."""
_IDENTIFIED = "customer.identified"
_KINDS_OF_ID = ("id", "email", "cio_id")
_NO_TRAITS = frozenset({"anonymous_id", "_update", "_timestamp"})
_WITHDRAWN = dict.fromkeys(SUPPRESSED_CHANNELS, False)
Operation = Mapping[str, Any]


def items_of(operation: Any) -> Iterator[Item]:
    """Yield the events that an operation is: one, for an object as many as it has people; an `Unreadable` where it is none."""
    try:
        yield from _items(operation)
    except InvalidEvent as error:
        yield Unreadable(error, operation)


def _items(operation: Any) -> Iterator[Item]:
    if not isinstance(operation, dict):
        _refuse("not_an_object", "an operation is a JSON object", "")
    kind, action = operation.get("type", "person"), text_of(operation.get("action"))
    if kind == "object" and action in {"identify", "identify_anonymous", "add_relationships"}:
        yield from _grouped(operation)
    elif kind == "person" and (reader := _PERSON.get(action)) is not None:
        found = reader(operation)
        yield from found if isinstance(found, list) else [found]
    elif kind == "person" and action in _NOT_DONE:
        _refuse("not_supported", _NOT_DONE[action], "/action")
    else:
        _refuse("unknown_action", "there is no such type and action of an operation here", "/action")


def _identify(operation: Operation) -> Item:
    given = object_of(operation.get("attributes"))
    identifiers = object_of(operation.get("identifiers"))
    traits = {name: value for name, value in given.items() if name not in _NO_TRAITS}
    if "id" not in identifiers and "email" in identifiers:
        traits = {"email": identifiers["email"], **traits}
    data = stated({"traits": traits, "consent": _WITHDRAWN if given.get("unsubscribed") in (True, "true") else None})
    time = operation.get("timestamp", given.get("_timestamp"))
    return _fields(operation, _IDENTIFIED, data) | stated({"time": _seconds(time), "anonymous": _anonymous(operation)})


def _event(operation: Operation) -> Item:
    name = operation.get("name")
    data = dict(object_of(operation.get("attributes")))
    event_type, data = _aliases().translate(name, data) if isinstance(name, str) else (name, data)
    return _fields(operation, event_type, data)


def _page(operation: Operation) -> Item:
    return _fields(operation, "page.viewed", {"url": operation.get("name"), **object_of(operation.get("attributes"))})


def _screen(operation: Operation) -> Item:
    return _fields(operation, "screen.viewed", {"name": operation.get("name"), **object_of(operation.get("attributes"))})


def _merge(operation: Operation) -> Item:
    customer, other = _identifier(operation.get("primary"), "/primary"), _identifier(operation.get("secondary"), "/secondary")
    return {"type": _IDENTIFIED, "customer": customer, "anonymous": other, "data": {}}


def _suppress(operation: Operation) -> Item:
    return _fields(operation, _IDENTIFIED, {"consent": _WITHDRAWN})


def _add_device(operation: Operation) -> Item:
    device = object_of(operation.get("device"))
    context = stated({"device": stated({"type": device.get("platform")})})
    return _fields(operation, _IDENTIFIED, stated({"addresses": {"push": _token(device)}, "context": context}))


def _delete_device(operation: Operation) -> Item:
    return _fields(operation, _IDENTIFIED, {"addresses": {"push": None}})


def _token(device: Mapping[str, Any]) -> Any:
    if device.get("id") in (None, ""):
        _refuse("missing_device", "a device needs an id: its token", "/device/id")
    return device["id"]


def _relate(operation: Operation) -> list[Item]:
    """Return the objects to which a person belongs; the operation's id becomes each one's own, since they are different events."""
    groups = [_group_of(object_of(object_of(each).get("identifiers")), None) for each in _relationships(operation)]
    given = operation.get("id")
    ids = [given if given is None or number == 0 else f"{given}:{number}" for number in range(len(groups))]
    return [_fields({**operation, "id": own}, "customer.grouped", group) for own, group in zip(ids, groups, strict=True)]


def _grouped(operation: Operation) -> Iterator[Item]:
    """Yield an object as its people's; the attributes of one without people are nobody's, and are refused."""
    group = _group_of(object_of(operation.get("identifiers")), operation.get("attributes"))
    for each in _relationships(operation):
        yield _fields(object_of(each), "customer.grouped", group)


def _relationships(operation: Operation) -> list[Any]:
    found = operation.get("cio_relationships")
    if not isinstance(found, list) or not found:
        _refuse("missing_customer", "an object without people is nobody's: name them in cio_relationships", "/cio_relationships")
    return found


def _group_of(identifiers: Operation, traits: Any) -> dict[str, Any]:
    return stated({"group_id": identifiers.get("object_id"), "group_type": identifiers.get("object_type_id"), "traits": traits})


_PERSON: Mapping[str, Callable[[Operation], Item | list[Item]]] = {
    "identify": _identify,
    "event": _event,
    "page": _page,
    "screen": _screen,
    "merge": _merge,
    "suppress": _suppress,
    "add_device": _add_device,
    "delete_device": _delete_device,
    "add_relationships": _relate,
}
_NOT_DONE: Mapping[str, str] = {
    "delete": "nobody is erased by this door: nothing was done",
    "unsuppress": "consent is the customer's to give: post consent.given where he does",
    "delete_relationships": "groups are not left by this door: nothing was done",
}


def _fields(operation: Operation, event_type: Any, data: dict[str, Any]) -> dict[str, Any]:
    """Return what every event has: who, what, when, and the id by which Customer.io's clients know a repeat."""
    who = _who(operation)
    return {**who, "type": event_type, "data": data, **stated({"id": operation.get("id"), "time": _seconds(operation.get("timestamp"))})}


def _who(operation: Operation) -> dict[str, Any]:
    identifiers = object_of(operation.get("identifiers"))
    if any(identifiers.get(kind) not in (None, "") for kind in _KINDS_OF_ID):
        return {"customer": _identifier(identifiers, "/identifiers")}
    if (anonymous := _anonymous(operation)) is None:
        _refuse("missing_customer", "identifiers must name the person, by id, email, cio_id or anonymous_id", "/identifiers")
    return {"anonymous": anonymous}


def _identifier(identifiers: Any, pointer: str) -> Any:
    found = object_of(identifiers)
    value = next((found[kind] for kind in _KINDS_OF_ID if found.get(kind) not in (None, "")), None)
    if value is None:
        _refuse("missing_customer", "a person is named by id, email or cio_id", pointer)
    return value


def _anonymous(operation: Operation) -> Any:
    places = (operation, object_of(operation.get("identifiers")), object_of(operation.get("attributes")))
    return next((place["anonymous_id"] for place in places if place.get("anonymous_id") not in (None, "")), None)


def _seconds(time: Any) -> Any:
    """Return Unix seconds as a number where they came as text; anything else as it is, for the normaliser to judge."""
    return int(time) if isinstance(time, str) and time.isascii() and time.isdigit() and len(time) <= 15 else time


def _aliases() -> Aliases:
    return load_aliases("segment", "b2b")


def _refuse(code: str, message: str, pointer: str) -> NoReturn:
    raise InvalidEvent(message, code=code, pointer=pointer)
