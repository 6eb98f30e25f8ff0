"""The door of Segment's clients, and of those that speak as they do: RudderStack's and Customer.io Pipelines'.

https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/ says what they post. All of these paths are written with
and without a slash at the end, and no Content-Type is looked at: browsers send `text/plain`.

Messages are read strictly into `Incoming`; where one of a request needs a closer look, all are read leniently, for the normaliser to clean.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from services.contracts.aliases import Aliases
from services.contracts.errors import InvalidEvent
from services.contracts.incoming import Item, Unreadable, has_nul, read_json
from services.ingest.doors.port import JSON, Answer, Door, KeyPlace, Parcel, Posted
from services.ingest.doors.segment_messages import Message, Posting, Shared, incoming_of, message_of
from services.ingest.judge import Judged, Result
from services.ingest.refusals import RequestRefused

KINDS: Mapping[str, str] = MappingProxyType(
    {
        **{f"/v1/{kind}": kind for kind in ("track", "identify", "page", "screen", "group", "alias")},
        **{f"/v1/{kind[0]}": kind for kind in ("track", "identify", "page", "screen", "group", "alias")},
        **dict.fromkeys(("/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch"), ""),
    }
)
"""The door's paths, and the kind of message that each takes; empty: the message says it."""
METRICS_PATH = "/v1/m"
_decoder = msgspec.json.Decoder(Posting)
_encoder = msgspec.json.Encoder()


class Rejected(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A message that was not taken: its place in the request (from 0), and why; `pointer` (RFC 6901) is in the client's own words."""

    index: int
    code: str
    message: str
    message_id: str | None = None
    pointer: str | None = None


class Remarked(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message that was taken otherwise than it came: its place in the request (from 0), its id here, and what was done to it."""

    index: int
    message_id: str | None
    remarks: list[str]


class SegmentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a 200; Segment's clients look only at the status."""

    success: bool = True
    accepted: int
    duplicates: int
    rejected: list[Rejected]
    remarked: list[Remarked]


class SegmentDoor(Door):
    """Takes what Segment's clients post. `aliases` is asked for when the first request comes."""

    name = "segment"
    key_place: KeyPlace = "either"

    def __init__(self, aliases: Callable[[], Aliases]) -> None:
        self._aliases = aliases

    def read(self, posted: Posted) -> Parcel:
        """Return the messages of a request; raises `InvalidEvent` (`invalid_json`, `too_deep`) and `RequestRefused` (`empty_batch`)."""
        kind = KINDS.get(posted.path.rstrip("/"), "")
        parcel = self._read_strictly(posted.body, kind)
        if parcel is None:
            parcel = self.read_raw(read_json(posted.body), kind)
        if not parcel.items:
            raise RequestRefused("empty_batch", "there is no message in this request")
        return parcel

    def read_raw(self, raw: Any, kind: str) -> Parcel:
        """Return the messages of parsed JSON: one of `kind`, or a batch; raises `InvalidEvent` where it can be neither."""
        if isinstance(raw, list):
            raw = {"batch": raw}
        if not isinstance(raw, dict):
            raise InvalidEvent("post an object", code="invalid_json", pointer="")
        batch = raw.get("batch")
        if not isinstance(batch, list):
            return Parcel([_raw_item(raw, Shared(self._aliases(), kind))], _key_of(raw))
        shared = Shared(self._aliases(), kind, raw.get("context"), raw.get("sentAt"))
        return Parcel([_raw_item(each, shared) for each in batch], _key_of(raw, *batch[:1]))

    def accept(self, posted: Posted, judged: Judged) -> Answer:  # noqa: ARG002 - the port's
        """Answer 200, as these clients need it, with what was rejected and what a developer should know of the rest."""
        accepted, duplicates, rejected = judged.counts
        answer = SegmentAnswer(
            accepted=accepted,
            duplicates=duplicates,
            rejected=[_rejected(result) for result in judged.results if result.status == "rejected"] if rejected else [],
            remarked=[_remarked(result) for result in judged.results if result.warnings or result.clamped or result.generated],
        )
        return Answer(200, JSON, _encoder.encode(answer))

    def _read_strictly(self, body: bytes, kind: str) -> Parcel | None:
        """Return what needs no cleaning, None where something does."""
        if has_nul(body):
            return None
        try:
            posting = _decoder.decode(body)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return None
        batch: Sequence[Message] | None = posting.batch
        if batch is None:
            return Parcel([_strict_item(posting, Shared(self._aliases(), kind))], posting.write_key or "")
        shared = Shared(self._aliases(), kind, posting.context, posting.sent_at)
        key = posting.write_key or (batch[0].write_key if batch else None) or ""
        return Parcel([_strict_item(message, shared) for message in batch], key)


class MetricsDoor(Door):
    """Takes the measurements that analytics.js makes of itself, and throws them away: it has no way to be told to keep them."""

    name = "segment_metrics"
    key_place: KeyPlace = "body"

    def read(self, posted: Posted) -> Parcel:  # noqa: ARG002 - the port's
        """Return nothing."""
        return Parcel(())

    def accept(self, posted: Posted, judged: Judged) -> Answer:  # noqa: ARG002 - the port's
        """Answer 200."""
        return _IGNORED

    def refuse(self, posted: Posted, refused: RequestRefused) -> Answer | None:  # noqa: ARG002 - the port's
        """Answer 200 even so: nothing was to be stored."""
        return _IGNORED


_IGNORED = Answer(200, JSON, b'{"success":true}')


def _strict_item(message: Message, shared: Shared) -> Item:
    try:
        return incoming_of(message, shared)
    except InvalidEvent as error:
        return Unreadable(error, _without_key(msgspec.to_builtins(message)))


def _raw_item(raw: Any, shared: Shared) -> Item:
    try:
        return {name: value for name, value in msgspec.structs.asdict(incoming_of(message_of(raw), shared)).items() if value is not None}
    except InvalidEvent as error:
        return Unreadable(error, _without_key(raw))
    except RecursionError:
        return Unreadable(InvalidEvent("the message is nested too deeply", code="too_deep", pointer=""), None)


def _key_of(*holders: Any) -> str:
    """Return the first write key that is one."""
    keys = (holder.get("writeKey") for holder in holders if isinstance(holder, dict))
    return next((key for key in keys if isinstance(key, str) and key), "")


def _without_key(raw: Any) -> Any:
    """Return what is kept as a dead letter: a write key has no business there."""
    return {name: value for name, value in raw.items() if name != "writeKey"} if isinstance(raw, dict) else raw


def _rejected(result: Result) -> Rejected:
    return Rejected(
        index=result.index,
        code=result.code or "",
        message=result.message or "",
        message_id=result.id,
        pointer=result.pointer if result.pointer is None or result.code == "unknown_type" else _in_their_words(result.pointer),
    )


def _remarked(result: Result) -> Remarked:
    remarks = [*result.warnings]
    if result.clamped:
        remarks.append("its time was moved to the nearest allowed")
    if result.generated:
        remarks.append("it had no messageId: a repeat of it would count again")
    return Remarked(index=result.index, message_id=result.id, remarks=remarks)


_THEIRS = {
    "/data/context": "/context",
    "/data/traits": "/traits",
    "/data/group_id": "/groupId",
    "/data": "/properties",
    "/customer": "/userId",
    "/anonymous": "/anonymousId",
    "/id": "/messageId",
    "/time": "/timestamp",
    "/type": "/event",
    "/signature": "/context/signature",
}


def _in_their_words(pointer: str) -> str:
    for ours, theirs in _THEIRS.items():
        if pointer == ours or pointer.startswith(f"{ours}/"):
            return theirs + pointer[len(ours) :]
    return pointer
