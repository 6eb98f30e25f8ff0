"""Listeners and loops with which the laws read a log."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

from services.contracts.errors import Retryable
from services.runtime.eventlog.port import EventLog, EventLogReader, OutgoingRecord, Record, TopicPartition

SHORT = timedelta(milliseconds=200)


class Starts:
    """A listener that answers with given offsets (0 where none is given) and remembers what it was told."""

    def __init__(self, starts: Mapping[TopicPartition, int] | None = None, *, refusals: int = 0) -> None:
        self.starts = dict(starts or {})
        self.refusals = refusals
        self.assigned: list[TopicPartition] = []
        self.revoked: list[TopicPartition] = []

    async def on_assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Answer, or refuse while refusals are left."""
        if self.refusals:
            self.refusals -= 1
            raise Retryable("not yet")
        self.assigned += partitions
        return {partition: self.starts.get(partition, 0) for partition in partitions}

    async def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Remember it."""
        self.revoked += partitions


def record(key: str, value: str) -> OutgoingRecord:
    """Return a record of text."""
    return OutgoingRecord(key.encode(), value.encode())


async def started(log: EventLog, group: str, topic: str, listener: Starts | None = None) -> EventLogReader:
    """Return a started reader of one topic."""
    reader = log.reader(group, [topic], listener or Starts())
    await reader.start()
    return reader


async def drain(reader: EventLogReader, count: int, *, seconds: float = 20, max_records: int = 100) -> list[Record]:
    """Read until `count` records have come; fails after that many seconds."""
    found: list[Record] = []
    async with asyncio.timeout(seconds):
        while len(found) < count:
            for batch in (await reader.poll(max_records=max_records, timeout=SHORT)).values():
                found += batch.records
    return found


async def owned(reader: EventLogReader, listener: Starts, count: int, *, seconds: float = 20) -> None:
    """Poll until the listener was given that many partitions; fails when records come meanwhile."""
    async with asyncio.timeout(seconds):
        while len(set(listener.assigned)) < count:
            batches = await reader.poll(max_records=1, timeout=SHORT)
            assert not any(batch.records for batch in batches.values())


def values(records: Sequence[Record]) -> list[str]:
    """Return the records' texts."""
    return [found.value.decode() for found in records]
