"""Customer.io's Track API, for sites whose Track client points here: Basic `site_id:api_key`, where the API key is our write key.

    PUT    /api/v1/customers/ID                     POST /api/v1/events             (a visitor's)
    POST   /api/v1/customers/ID/events              POST /api/v1/merge_customers
    POST   /api/v1/customers/ID/suppress            POST /api/v2/entity
    PUT    /api/v1/customers/ID/devices             POST /api/v2/batch
    DELETE /api/v1/customers/ID/devices/TOKEN

What an operation becomes: `customerio_operations`. Deleting a person is refused (`not_supported`): nothing here can erase one.
See https://docs.customer.io/integrations/api/track/
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from services.contracts.errors import InvalidEvent
from services.contracts.event_times import MAX_AGE
from services.contracts.incoming import Item, read_json
from services.ingest.doors.customerio_operations import items_of
from services.ingest.doors.fields import object_of, text_of
from services.ingest.doors.port import JSON, Answer, Door, KeyPlace, Parcel, Posted
from services.ingest.judge import Judged, Result
from services.ingest.refusals import RequestRefused, body_of, status_of

CUSTOMERS_PREFIX = "/api/v1/customers/"
_EVENTS_PATH = "/api/v1/events"
_MERGE_PATH = "/api/v1/merge_customers"
_BATCH_PATH = "/api/v2/batch"
_ENTITY_PATH = "/api/v2/entity"
TRACK_PATHS = (_EVENTS_PATH, _MERGE_PATH, _BATCH_PATH, _ENTITY_PATH)
_ENDINGS: Mapping[tuple[str, str], str] = {
    ("POST", "/events"): "event",
    ("POST", "/suppress"): "suppress",
    ("POST", "/unsuppress"): "unsuppress",
    ("PUT", "/devices"): "add_device",
}
_encoder = msgspec.json.Encoder()


class BatchError(msgspec.Struct, frozen=True, kw_only=True):
    """An operation of a batch that was rejected, in Customer.io's words."""

    batch_index: int
    reason: str
    field: str
    message: str


class TrackAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a 200, or of a 207 where operations of a batch were rejected."""

    success: bool = True
    accepted: int
    duplicates: int
    rejected: int
    errors: list[BatchError]


class CustomerioTrackDoor(Door):
    """All paths of the Track API."""

    name = "customerio_track"
    key_place: KeyPlace = "body"

    def read(self, posted: Posted) -> Parcel:
        """Return the events of all operations.

        Raises `InvalidEvent` (`invalid_json`, `too_deep`, `empty_batch`) and `RequestRefused` (404, 405, 400) for what is not done here.
        """
        items = [item for operation in _operations(posted) for item in items_of(operation)]
        return Parcel([_dated(item, posted.received_at) for item in items], password_of(posted.headers))

    def accept(self, posted: Posted, judged: Judged) -> Answer:
        """Answer a batch with 200, or 207 and what was rejected; a single operation that was rejected with 400."""
        accepted, duplicates, rejected = judged.counts
        is_batch = posted.path.startswith(_BATCH_PATH)
        if rejected and not is_batch:
            return _bad(next(result for result in judged.results if result.status == "rejected"))
        errors = _errors(_operations(posted), judged.results) if rejected else []
        answer = TrackAnswer(accepted=accepted, duplicates=duplicates, rejected=rejected, errors=errors)
        return Answer(207 if errors else 200, JSON, _encoder.encode(answer))

    def refuse(self, posted: Posted, refused: RequestRefused) -> Answer | None:  # noqa: ARG002 - the port's
        """Refuse as everywhere; say where this client has its key."""
        if refused.code != "unauthorized":
            return None
        told = RequestRefused("unauthorized", "the API key (not the site id) must be a write key: make one with: povod keys create NAME")
        return Answer(status_of(told), JSON, _encoder.encode(body_of(told)), ((b"www-authenticate", b'Basic realm="povod"'),))


def _dated(item: Item, received_at: datetime) -> Item:
    """Mark what happened longer ago than a live event may have as historical: the client's `backfill` is for that."""
    if not isinstance(item, dict):
        return item
    time = item.get("time")
    is_old = isinstance(time, (int, float)) and time < (received_at - MAX_AGE).timestamp()
    return {**item, "historical": True} if is_old else item


def password_of(headers: Mapping[bytes, bytes]) -> str:
    """Return the password of Basic credentials (RFC 7617), empty where there are none."""
    scheme, _, value = headers.get(b"authorization", b"").strip().partition(b" ")
    if scheme.lower() != b"basic":
        return ""
    try:
        return base64.b64decode(value.strip(), validate=True).partition(b":")[2].decode("latin-1")
    except binascii.Error:
        return ""


def _operations(posted: Posted) -> Sequence[Any]:
    """Return a request as the operations of a batch."""
    if posted.path.startswith(CUSTOMERS_PREFIX):
        return (_about_customer(posted, posted.path.removeprefix(CUSTOMERS_PREFIX).removesuffix("/")),)
    path = posted.path.removesuffix("/")
    body = read_json(posted.body)
    if path == _BATCH_PATH:
        return _batch(body)
    if path == _ENTITY_PATH:
        return (body,)
    found = _object(body)
    return ({**found, "type": "person", "action": "merge"} if path == _MERGE_PATH else _event({}, found),)


def _batch(body: Any) -> Sequence[Any]:
    operations = object_of(body).get("batch")
    if not isinstance(operations, list):
        raise InvalidEvent("post an object with a batch of operations", code="invalid_json", pointer="/batch")
    if not operations:
        raise InvalidEvent("there is no operation in this batch", code="empty_batch", pointer="/batch")
    return operations


def _about_customer(posted: Posted, rest: str) -> dict[str, Any]:
    """Return the operation that a path below a customer is; an id may hold slashes, so that the path's end counts."""
    if not rest:
        raise RequestRefused("not_found", "the customer's id is missing in the path")
    if posted.method == "DELETE":
        return _deletion(rest)
    for (method, ending), action in _ENDINGS.items():
        if method == posted.method and rest.endswith(ending):
            return _ended(posted, action, {"id": rest.removesuffix(ending)})
    if posted.method != "PUT":
        what = "a person is told of with PUT; what he does with POST to /events below him"
        taken = {"DELETE", "PUT", *(method for method, ending in _ENDINGS if rest.endswith(ending))}
        raise RequestRefused("method_not_allowed", what, allow=", ".join(sorted(taken)))
    return {"type": "person", "action": "identify", "identifiers": {"id": rest}, "attributes": _object(read_json(posted.body))}


def _ended(posted: Posted, action: str, identifiers: dict[str, Any]) -> dict[str, Any]:
    if action == "unsuppress":
        raise RequestRefused("not_supported", "consent is the customer's to give: post consent.given where he does")
    if action == "suppress":
        return {"type": "person", "action": action, "identifiers": identifiers}
    body = _object(read_json(posted.body))
    if action == "event":
        return _event(identifiers, body)
    return {"type": "person", "action": action, "identifiers": identifiers, "device": body.get("device")}


def _deletion(rest: str) -> dict[str, Any]:
    customer, ending, token = rest.rpartition("/devices/")
    if ending and token:
        return {"type": "person", "action": "delete_device", "identifiers": {"id": customer}}
    raise RequestRefused("not_supported", "nobody is erased by this door: nothing was done")


def _event(identifiers: dict[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the older shape of an event as an operation: its details are called `data`, and `type` says whether it is a page."""
    kind = text_of(body.get("type"))
    named = {field: body[field] for field in ("name", "id", "timestamp", "anonymous_id") if field in body}
    action = kind if kind in {"page", "screen"} else "event"
    return {"type": "person", "action": action, "identifiers": identifiers, **named, "attributes": body.get("data")}


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise InvalidEvent("post an object", code="invalid_json", pointer="")
    return body


def _bad(why: Result) -> Answer:
    refused = RequestRefused(why.code or "bad_request", why.message or "")
    return Answer(400, JSON, _encoder.encode(body_of(refused)))


def _errors(operations: Sequence[Any], results: Sequence[Result]) -> list[BatchError]:
    """Return the rejected, under the index of their operation: an operation about a group has a result for each of its people."""
    owners = [index for index, operation in enumerate(operations) for _ in items_of(operation)]
    return [
        BatchError(batch_index=owners[result.index], reason=result.code or "", field=result.pointer or "", message=result.message or "")
        for result in results
        if result.status == "rejected"
    ]
