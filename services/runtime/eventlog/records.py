"""What every adapter does alike with a record on its way in: measure it, refuse it, place it."""

from collections.abc import Sequence

from services.contracts.errors import Fatal, Rejected
from services.contracts.partitioning import partition_of_key
from services.runtime.eventlog.port import OutgoingRecord

MAX_RECORD = 1_000_000
"""Bytes of key, value and headers together; a little below Kafka's default `max.message.bytes` (1,048,588), for both adapters."""
_OVERHEAD = 64
"""Bytes that a record costs in memory and on the wire beyond its contents, roughly."""


def size_of(record: OutgoingRecord) -> int:
    """Return what the record weighs, in bytes, its fixed costs included."""
    size = len(record.key) + len(record.value) + _OVERHEAD
    for name, content in record.headers:
        size += len(name) + len(content)
    return size


def place(topic: str, records: Sequence[OutgoingRecord], partitions: int) -> tuple[dict[int, list[OutgoingRecord]], int]:
    """Sort records by partition, keeping their order; return also their bytes together.

    Raises `Rejected` (`record_too_large`) where one can never be stored, `Fatal` for a partition that the topic doesn't have.
    """
    placed: dict[int, list[OutgoingRecord]] = {}
    total = 0
    for record in records:
        size = size_of(record)
        if size > MAX_RECORD:
            raise Rejected(f"a record of {size} bytes is over the limit of {MAX_RECORD}", code="record_too_large")
        total += size
        partition = partition_of_key(record.key, partitions) if record.partition is None else record.partition
        if not 0 <= partition < partitions:
            raise Fatal(f"topic {topic} has {partitions} partitions, there is no {partition}")
        if (found := placed.get(partition)) is None:
            placed[partition] = [record]
        else:
            found.append(record)
    return placed, total
