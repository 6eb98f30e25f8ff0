"""What arrived lately, key by key, with what became of it: for a developer who wants to see his first event. In memory, bounded.

    recent.note("shop", "segment", posted, judged, size)  # on the hot path: references are kept, nothing is looked into
    recent.note_refused("shop", "segment", at, refused)   # a whole request; "" where its key was not known; only its words are kept
    recent.seen("shop", 20)                               # when somebody asks: the newest first

Each process remembers what it took itself. Kept of a key are its last 100 events, or as many as fit into its share of memory.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import count, islice
from operator import itemgetter
from typing import Any

import msgspec

from services.ingest.doors.port import Posted
from services.ingest.judge import Judged, Reject, Result
from services.ingest.refusals import RequestRefused
from services.runtime.eventlog.port import OutgoingRecord

LIMIT = 100
"""Events kept of a key."""
MAX_BYTES = 262_144
"""Bytes of events kept of a key; one event is kept whatever its size."""
MAX_KEYS = 32
"""Keys remembered; those longest silent are forgotten."""
_LONGEST = 200
_TYPES = ("event", "type", "event_name", "name")
_CUSTOMERS = ("customer", "subject", "userId", "user_id", "distinct_id", "anonymous", "anonymousId", "anonymous_id")
_NOTES = ("generated", "hashed", "clamped")


class Seen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event, or one refused request: `at` when it arrived, `status` what became of it (`refused`: the whole request).

    `notes` say what was done to it (`generated`, `hashed`, `clamped`), `warnings` what was left out. As it was understood where it was
    accepted, else as far as it could be read.
    """

    at: datetime
    key: str
    door: str
    status: str
    type: str | None = None
    customer: str | None = None
    id: str | None = None
    code: str | None = None
    message: str | None = None
    pointer: str | None = None
    notes: list[str] = []
    warnings: list[str] = []


class _Stored(msgspec.Struct):
    type: str | None = None
    subject: str | None = None


_decode_stored = msgspec.json.Decoder(_Stored).decode


class _Noted(msgspec.Struct, frozen=True, gc=False):
    """A request: its last results, with the records and rejects that belong to them; or the code and the words of its refusal.

    Numbered as they came.
    """

    number: int
    at: datetime
    door: str
    events: int
    size: int
    results: Sequence[Result] = ()
    records: Sequence[OutgoingRecord] = ()
    rejects: Sequence[Reject] = ()
    refused: tuple[str, str] | None = None


class _Shelf:
    """What is kept of one key."""

    __slots__ = ("_events", "_size", "noted")

    def __init__(self) -> None:
        self.noted: deque[_Noted] = deque()
        self._events = 0
        self._size = 0

    def put(self, noted: _Noted) -> None:
        """Keep a request, and of the oldest ones as many as there is room for."""
        self.noted.append(noted)
        self._events += noted.events
        self._size += noted.size
        if self._events > LIMIT or self._size > MAX_BYTES:
            self._make_room()

    def _make_room(self) -> None:
        while len(self.noted) > 1 and (self._events - self.noted[0].events >= LIMIT or self._size > MAX_BYTES):
            oldest = self.noted.popleft()
            self._events -= oldest.events
            self._size -= oldest.size


class Recent:
    """The last events of each key. One for a process; not safe between threads."""

    def __init__(self) -> None:
        self._shelves: OrderedDict[str, _Shelf] = OrderedDict()
        self._next = count().__next__

    def note(self, key: str, door: str, posted: Posted, judged: Judged, size: int) -> None:
        """Keep what became of a request, its body or its records of `size` bytes; costs about a microsecond."""
        records, results, rejects, _ = judged
        total = len(results)
        if not total:
            return
        kept = min(total, LIMIT) if size <= MAX_BYTES else max(1, min(total * MAX_BYTES // size, LIMIT))
        if kept == total:
            noted = _Noted(self._next(), posted.received_at, door, total, size, results, records, rejects)
        else:
            tails = (results[-kept:], records[-kept:], rejects[-kept:])
            noted = _Noted(self._next(), posted.received_at, door, kept, size * kept // total, *tails)
        self._shelf(key).put(noted)

    def note_refused(self, key: str, door: str, at: datetime, refused: RequestRefused) -> None:
        """Keep that a whole request was refused; `key` is empty where it is not known."""
        self._shelf(key).put(_Noted(self._next(), at, door, 1, len(refused.message), refused=(refused.code, refused.message)))

    def seen(self, key: str | None = None, limit: int = LIMIT) -> list[Seen]:
        """Return the newest events of a key (None: of all), the newest first."""
        shelves = list(self._shelves.items()) if key is None else [(key, self._shelves[key])] if key in self._shelves else []
        found = [each for name, shelf in shelves for each in islice(_seen_of(name, shelf), limit)]
        return [seen for _, seen in sorted(found, key=itemgetter(0), reverse=True)[:limit]]

    def _shelf(self, key: str) -> _Shelf:
        shelf = self._shelves.get(key)
        if shelf is None:
            shelf = self._shelves[key] = _Shelf()
            if len(self._shelves) > MAX_KEYS:
                self._shelves.popitem(last=False)
        self._shelves.move_to_end(key)
        return shelf


def _seen_of(key: str, shelf: _Shelf) -> Iterator[tuple[int, Seen]]:
    """Yield what is kept of a key with the number of its request, the newest first."""
    for noted in reversed(shelf.noted):
        if noted.refused is not None:
            code, message = noted.refused
            seen = Seen(at=noted.at, key=key, door=noted.door, status="refused", code=code, message=message)
            yield noted.number, seen
        yield from ((noted.number, seen) for seen in _results(key, noted))


def _results(key: str, noted: _Noted) -> Iterator[Seen]:
    """Yield a request's events, the last first, each with the record or the reject that belongs to it."""
    records, rejects = reversed(noted.records), reversed(noted.rejects)
    accepted = {result.id: next(records).value for result in reversed(noted.results) if result.status == "accepted"}
    for result in reversed(noted.results):
        if result.status == "rejected":
            event = _fields(next(rejects).value)
            yield _one(key, noted, result, (_first(event, _TYPES), _first(event, _CUSTOMERS)))
        else:
            stored = _stored(accepted.get(result.id))
            yield _one(key, noted, result, (stored.type, stored.subject))


def _one(key: str, noted: _Noted, result: Result, named: tuple[str | None, str | None]) -> Seen:
    return Seen(
        at=noted.at,
        key=key,
        door=noted.door,
        status=result.status,
        type=named[0],
        customer=named[1],
        id=result.id,
        code=result.code,
        message=result.message,
        pointer=result.pointer,
        notes=[name for name in _NOTES if getattr(result, name)],
        warnings=list(result.warnings),
    )


def _stored(value: bytes | None) -> _Stored:
    """Return what is shown of an event as it went to the log; nothing of a repeat whose first is not kept any more."""
    return _Stored() if value is None else _decode_stored(value)


def _fields(raw: bytes) -> Mapping[str, Any]:
    """Return the fields of an event's JSON; none where it is no object, or was cut."""
    try:
        event = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return {}
    return event if isinstance(event, dict) else {}


def _first(event: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Return the first of these fields that says something, as short text."""
    found = next((event[name] for name in names if isinstance(event.get(name), (str, int, float)) and event[name] != ""), None)
    return None if found is None else str(found)[:_LONGEST]
