"""Judge a request's events one by one: records for the log, dead letters, and a result for each. Pure but for new ids."""

import json
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET

from services.contracts.catalogue import Catalogue
from services.contracts.codec import EVENT_HEADERS, TRACEPARENT, encode_event, key_of
from services.contracts.errors import InvalidEvent
from services.contracts.events import Event
from services.contracts.incoming import Incoming, Item, Unreadable
from services.contracts.merges import merge_of
from services.contracts.normalise import Normalised, Reception, normalise
from services.ingest.refusals import RequestRefused
from services.runtime.eventlog.port import OutgoingRecord

Status = Literal["accepted", "duplicate_in_request", "rejected"]
_LONGEST_REASON = 500
_LONGEST_KEY = 255


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What became of the event at `index` (from 0) of the request.

    `generated`: it had no id and got this one, so a repeat of it would count again. `hashed`: its id was over 100 characters, this is
    its SHA-256. `clamped`: its time was moved to the nearest allowed. `warnings`: what was left out of it (an address that is none).
    `code`, `message` and `pointer` (RFC 6901) say why it was rejected.
    """

    index: int
    status: Status
    id: str | None = None
    generated: bool = False
    hashed: bool = False
    clamped: bool = False
    warnings: tuple[str, ...] = ()
    code: str | None = None
    message: str | None = None
    pointer: str | None = None


class Reject(NamedTuple):
    """A rejected event for the dead letters: the customer it named (or nothing), its bytes, and why."""

    key: bytes
    value: bytes
    code: str
    message: str


class Judged(NamedTuple):
    """What is to be done about a request: `records` one an accepted event, `merges` for those who said who they are."""

    records: list[OutgoingRecord]
    results: list[Result]
    rejects: list[Reject]
    merges: list[OutgoingRecord]

    @property
    def counts(self) -> tuple[int, int, int]:
        """Return how many were accepted, duplicates, rejected."""
        records, results, rejects, _ = self
        accepted, rejected = len(records), len(rejects)
        return accepted, len(results) - accepted - rejected, rejected


class _Room:
    """How many bytes a request's events may still have together."""

    __slots__ = ("_left",)

    def __init__(self, limit: float) -> None:
        self._left = limit

    def take(self, value: bytes) -> None:
        """Raise `RequestRefused` where this one does not fit any more."""
        self._left -= len(value)
        if self._left < 0:
            raise RequestRefused("payload_too_large", "the events are too large together: each has what the request says of all of them")


class Judge:
    """Judges requests against the known types; `max_event` is the largest encoded event in bytes."""

    def __init__(self, catalogue: Catalogue, max_event: int) -> None:
        self._catalogue = catalogue
        self._max_event = max_event

    def judge(self, items: Sequence[Item], reception: Reception, max_bytes: int | None = None) -> Judged:
        """Return records and dead letters in the order of the events, and a result for each.

        Raises `RequestRefused` (`payload_too_large`) where they are larger together than `max_bytes`: what a request says once of all
        its events stands in each of them.
        """
        judged, room = Judged([], [], [], []), _Room(math.inf if max_bytes is None else max_bytes)
        records, results, rejects, merges = judged
        seen: dict[tuple[str, str, str], Event] = {}
        for index, item in enumerate(items):
            try:
                if isinstance(item, Unreadable):
                    raise item.error
                found = normalise(item, reception)
                value = self._encode(found)
                status = _status(found.event, seen)
            except InvalidEvent as error:
                results.append(_rejection(index, item, error))
                rejects.append(self._reject(item, error))
                room.take(rejects[-1].value)
                continue
            room.take(value)
            results.append(_acceptance(index, found, status))
            if status == "accepted":
                records.append(_record(found.event, value))
                if found.event.anonymousid is not UNSET and (merge := merge_of(found.event)) is not None:
                    merges.append(_record(merge, encode_event(merge)))
        return judged

    def _reject(self, item: Item, error: InvalidEvent) -> Reject:
        customer = _field(item, "customer")
        key = str(customer)[:_LONGEST_KEY].encode("utf-8", "replace") if isinstance(customer, (str, int)) else b""
        return Reject(key, _original(item)[: self._max_event], error.code, error.message[:_LONGEST_REASON])

    def _encode(self, found: Normalised) -> bytes:
        self._catalogue.validate(found.event.type, found.event.data)
        value = encode_event(found.event)
        if len(value) > self._max_event:
            raise InvalidEvent(f"an event has at most {self._max_event} bytes, this one {len(value)}", code="event_too_large", pointer="")
        return value


def _status(event: Event, seen: dict[tuple[str, str, str], Event]) -> Status:
    """Say whether an event is the first of its customer, source and id, or the same again; raises `InvalidEvent` where it is another."""
    first = seen.setdefault((event.subject, event.source, event.id), event)
    if first is event:
        return "accepted"
    if (first.type, first.data) != (event.type, event.data):
        text = "an event before it in this request has the same id and is another: give each its own"
        raise InvalidEvent(text, code="conflicting_id", pointer="/id")
    return "duplicate_in_request"


def _acceptance(index: int, found: Normalised, status: Status) -> Result:
    """Return the result of a good event."""
    return Result(
        index=index,
        status=status,
        id=found.event.id,
        generated=found.generated,
        hashed=found.hashed,
        clamped=found.clamped,
        warnings=found.warnings,
    )


def _record(event: Event, value: bytes) -> OutgoingRecord:
    headers = EVENT_HEADERS if event.traceparent is None else (*EVENT_HEADERS, (TRACEPARENT, event.traceparent.encode()))
    return OutgoingRecord(key_of(event.subject), value, headers)


def _rejection(index: int, item: Item, error: InvalidEvent) -> Result:
    given = _field(item, "id")
    shown = given if isinstance(given, str) and given.isprintable() else None
    message = error.message[:_LONGEST_REASON]
    return Result(index=index, status="rejected", id=shown, code=error.code, message=message, pointer=error.pointer)


def _field(item: Item, name: str) -> Any:
    if isinstance(item, Incoming):
        return getattr(item, name)
    item = item.original if isinstance(item, Unreadable) else item
    return item.get(name) if isinstance(item, dict) else None


def _original(item: Item) -> bytes:
    """Return a rejected event as JSON, as it came but for blanks and the order of its fields."""
    if isinstance(item, Incoming):
        return msgspec.json.encode({name: value for name, value in msgspec.structs.asdict(item).items() if value is not None})
    try:
        return json.dumps(item.original if isinstance(item, Unreadable) else item).encode()
    except RecursionError:
        return b'"nested too deeply to be kept"'
