"""What a record of the events topic is: an event of ours to decide, one that lies on the wrong partition, or none at all.

Any producer may write to Kafka, so records are checked as input from outside: what can't be decoded or stored is given up with its
reason, what belongs to another partition's owner is sent there, a time ahead of the record's own is moved back to it. Not checked here
are types, since `message.*` and `povod.*` come from our own services this way (who else may write them is for Kafka's ACLs to say), and
data, whose schemas are the doors' affair: to rules all data is of unknown form.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

import msgspec

from services.contracts.codec import decode_event, encode_event
from services.contracts.errors import InvalidEvent
from services.contracts.events import Event
from services.contracts.incoming import has_nul
from services.contracts.normalise import PLACEHOLDERS
from services.contracts.partitioning import partition_of
from services.rules.foreign import read_foreign
from services.runtime.eventlog.port import Record
from services.runtime.eventlog.records import MAX_RECORD

LONGEST_ID = 255
"""Characters of customer, event id, type and source."""
_AHEAD = timedelta(minutes=5)
"""How far clocks of one installation may differ before a time is one that can't be."""
_LONGEST_PLACEHOLDER = max(map(len, PLACEHOLDERS))
LARGEST = MAX_RECORD - 4_096
"""Bytes of a value; leaves room for key and headers, so that any record can be published again."""


class Accepted(NamedTuple):
    """An event of this partition. `payload` is the record's JSON as history keeps it."""

    record: Record
    event: Event
    payload: str


class Misplaced(NamedTuple):
    """An event whose customer lives on another partition (a grown topic, a wrong producer): to be forwarded, never decided."""

    record: Record
    event: Event
    payload: str


class Refused(NamedTuple):
    """A record that is no event."""

    record: Record
    reason: str
    error: str


Sorted = Accepted | Misplaced | Refused


def sort_records(records: Iterable[Record], partitions: int) -> list[Sorted]:
    """Say of each record, in order, what it is; `partitions` is the topic's count."""
    return [sort_record(record, partitions) for record in records]


def sort_record(record: Record, partitions: int) -> Sorted:
    """Say what one record is; never raises."""
    try:
        event, value = _read(record)
        payload = value.decode()
        _check(event, value)
    except InvalidEvent as error:
        return Refused(record, error.code, error.message)
    except UnicodeError as error:
        return Refused(record, "not_utf8", str(error))
    if partition_of(event.subject, partitions) != record.partition:
        return Misplaced(record, event, payload)
    return Accepted(record, event, payload)


def _read(record: Record) -> tuple[Event, bytes]:
    """Return the event, and its JSON as it came or, where something had to be filled in or moved, as it is now."""
    try:
        event = decode_event(record.value)
    except InvalidEvent as error:
        if error.code != "undecodable_event":
            raise
        return _as_now(_bounded(read_foreign(record, error), record))
    bounded = _bounded(event, record)
    return (event, record.value) if bounded is event else _as_now(bounded)


def _bounded(event: Event, record: Record) -> Event:
    """Return the event with no time ahead of when it was appended: it would be the customer's newest for as long as it claims."""
    latest = record.appended_at + _AHEAD
    if event.time <= latest and event.receivedtime <= latest:
        return event
    received = min(event.receivedtime, record.appended_at)
    return msgspec.structs.replace(event, time=min(event.time, received), receivedtime=received)


def _as_now(event: Event) -> tuple[Event, bytes]:
    return event, encode_event(event)


def _check(event: Event, value: bytes) -> None:
    """Refuse what no table could hold; raises `InvalidEvent`."""
    if len(value) > LARGEST:
        raise InvalidEvent(f"{len(value)} bytes are more than the {LARGEST} that can be handled", code="record_too_large")
    if b"\x00" in value:
        raise InvalidEvent("a NUL byte stands in the record", code="nul_character")
    if len(event.subject) <= _LONGEST_PLACEHOLDER and event.subject.lower() in PLACEHOLDERS:
        raise InvalidEvent(f"{event.subject!r} is what broken producers send for nobody", code="placeholder_id", pointer="/subject")
    lengths = (len(event.subject), len(event.id), len(event.type), len(event.source))
    if min(lengths) > 0 and max(lengths) <= LONGEST_ID and not has_nul(value):
        return
    for name in ("subject", "id", "type", "source"):
        text = getattr(event, name)
        if not 0 < len(text) <= LONGEST_ID:
            raise InvalidEvent(f"{name} must have 1 to {LONGEST_ID} characters", code="bad_length", pointer=f"/{name}")
        if "\x00" in text:
            raise InvalidEvent(f"a NUL character stands in {name}", code="nul_character", pointer=f"/{name}")
