"""Which events were decided in the last 48 hours: packed records in the document, so that a busy customer stays cheap to copy and store.

A record is 12 bytes: eight of BLAKE2b over source and id, four of the received time in seconds. Records stand in order of arrival.
"""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from services.contracts.events import Event
from services.rules.core.document import CustomerDocument

MEMORY = timedelta(hours=48)
MAX_RECORDS = 1_000
_SIZE = 12
_HASH = 8
_EMPTY = blake2b(digest_size=_HASH)
_SECONDS = struct.Struct(">I")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MEMORY_SECONDS = MEMORY // timedelta(seconds=1)
_LAST = 2**32 - 1


def digest_of(event: Event) -> bytes:
    """Return the eight bytes by which an event is remembered."""
    digest = _EMPTY.copy()
    digest.update(f"{event.source}\x1f{event.id}".encode("utf-8", "surrogatepass"))
    return digest.digest()


def remembers(document: CustomerDocument, digest: bytes, received_at: datetime) -> bool:
    """Say whether this event was decided less than 48 hours before `received_at`."""
    recent = document.recent
    found = recent.find(digest)
    while found >= 0:
        if found % _SIZE == 0:
            return _seconds(received_at) - _time_at(recent, found) < _MEMORY_SECONDS
        found = recent.find(digest, found + 1)
    return False


def remember(document: CustomerDocument, digest: bytes, received_at: datetime) -> None:
    """Add a record, drop those older than 48 hours, and the oldest beyond 1,000 (noted in `recent_lost_at`)."""
    seconds = _seconds(received_at)
    recent = document.recent
    start = 0
    oldest = seconds - _MEMORY_SECONDS
    while start < len(recent) and _time_at(recent, start) <= oldest:
        start += _SIZE
    if len(recent) - start >= MAX_RECORDS * _SIZE:
        document.recent_lost_at = _EPOCH + timedelta(seconds=_time_at(recent, start))
        start += _SIZE
    document.recent = recent[start:] + digest + _SECONDS.pack(seconds)


def join(document: CustomerDocument, other: CustomerDocument) -> None:
    """Remember also what another document remembers, in order of time; the oldest beyond 1,000 are noted as forgotten."""
    records = dict(_records(other.recent)) | dict(_records(document.recent))
    ordered = sorted(records.items(), key=lambda record: record[1])
    lost_at = [moment for moment in (document.recent_lost_at, other.recent_lost_at) if moment is not None]
    if len(ordered) > MAX_RECORDS:
        lost_at.append(_EPOCH + timedelta(seconds=_SECONDS.unpack(ordered[-MAX_RECORDS - 1][1])[0]))
    document.recent = b"".join(digest + seconds for digest, seconds in ordered[-MAX_RECORDS:])
    document.recent_lost_at = max(lost_at, default=None)


def _records(recent: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each record's digest and time."""
    for start in range(0, len(recent), _SIZE):
        yield recent[start : start + _HASH], recent[start + _HASH : start + _SIZE]


def is_uncertain(document: CustomerDocument, event: Event) -> bool:
    """Say whether an id that is not remembered may have been forgotten before its 48 hours were over."""
    lost_at = document.recent_lost_at
    return lost_at is not None and lost_at > event.receivedtime - MEMORY and not remembers(document, digest_of(event), event.receivedtime)


def overflows(document: CustomerDocument, arriving: int) -> bool:
    """Say whether ids may be forgotten while `arriving` more events of the customer are decided."""
    return len(document.recent) // _SIZE + arriving > MAX_RECORDS


def _time_at(recent: bytes, start: int) -> int:
    seconds: int = _SECONDS.unpack_from(recent, start + _HASH)[0]
    return seconds


def _seconds(moment: datetime) -> int:
    return min(max(int(moment.timestamp()), 0), _LAST)
