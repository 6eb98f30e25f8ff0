"""Reading the embedded log: one owner a topic and group (the newest reader), wake-ups instead of busy polling."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from services.contracts.errors import LogTruncated, LogUnavailable, Retryable
from services.runtime.eventlog.port import Batch, PartitionListener, Record, TopicPartition

_RETRY_ASSIGNMENT = 0.2
"""Seconds until a listener that raised `Retryable` is asked again."""


class Wanted(NamedTuple):
    """A part of one partition to read: from `start` up to `end`."""

    partition: TopicPartition
    start: int
    end: int


class LogView(Protocol):
    """What a reader needs of the log."""

    def span(self, partition: TopicPartition) -> tuple[int, int]:
        """Return (first offset, end) as of now; never blocks."""

    def settled_at(self) -> datetime:
        """Return a moment before which every appended record is inside `span`."""

    def count(self, topic: str) -> int:
        """Return the number of partitions; raises `Fatal` where there is no such topic."""

    async def fetch(self, wanted: Sequence[Wanted], limit: int) -> list[list[Record]]:
        """Read from the file; raises `LogUnavailable`."""


class Members:
    """Who reads what: of the readers of one group and topic, the one that came last owns every partition."""

    def __init__(self) -> None:
        self._members: dict[tuple[str, str], list[EmbeddedReader]] = {}

    def join(self, reader: "EmbeddedReader") -> None:
        """Make a reader the owner of its topics."""
        for topic in reader.topics:
            self._members.setdefault((reader.group, topic), []).append(reader)
        self.wake()

    def leave(self, reader: "EmbeddedReader") -> None:
        """Take a reader out; the one that was there before it owns its topics again."""
        for topic in reader.topics:
            with suppress(KeyError, ValueError):
                self._members[reader.group, topic].remove(reader)
        self.wake()

    def owns(self, reader: "EmbeddedReader", topic: str) -> bool:
        """Say whether the reader is the newest of its group on this topic."""
        members = self._members.get((reader.group, topic), [])
        return members[-1:] == [reader]

    def wake(self) -> None:
        """Let every waiting poll look again."""
        for members in self._members.values():
            for reader in members:
                reader.wake()


class EmbeddedReader:
    """A reader of the embedded log; see the port for its duties."""

    def __init__(self, log: LogView, members: Members, group: str, topics: Sequence[str], listener: PartitionListener) -> None:
        self.group = group
        self.topics = tuple(topics)
        self.progress: dict[TopicPartition, int] = {}
        self._log = log
        self._members = members
        self._listener = listener
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._changed = asyncio.Event()
        self._open = False

    async def start(self) -> None:
        """Become the owner of the topics' partitions; raises `Fatal` for an unknown topic."""
        for topic in self.topics:
            self._log.count(topic)
        self._open = True
        self._members.join(self)

    async def poll(self, *, max_records: int, timeout: timedelta) -> Mapping[TopicPartition, Batch]:  # noqa: ASYNC109 - the port's
        """Return records as soon as there are any, else what is caught up after `timeout`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout.total_seconds()
        while True:
            if not self._open:
                raise LogUnavailable("the reader is closed")
            self._changed.clear()
            is_settled = await self._settle()
            batches = await self._collect(max_records)
            left = deadline - loop.time()
            if left <= 0 or any(batch.records for batch in batches.values()):
                return batches
            await self._wait(left if is_settled else min(left, _RETRY_ASSIGNMENT))

    def pause(self, partition: TopicPartition) -> None:
        """Leave the partition out until `resume`."""
        if partition in self._positions:
            self._paused.add(partition)

    def resume(self, partition: TopicPartition) -> None:
        """Deliver it again."""
        self._paused.discard(partition)
        self.wake()

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from `offset`; of no effect on a partition that is not ours."""
        if partition in self._positions:
            self._positions[partition] = offset
            self.wake()

    async def report_progress(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Keep the figures in `progress`."""
        self.progress.update(offsets)

    async def close(self) -> None:
        """Let go of everything."""
        if self._open:
            self._open = False
            self._members.leave(self)
            await self._revoke(list(self._positions))

    def wake(self) -> None:
        """Let a waiting poll look again."""
        self._changed.set()

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)

    async def _settle(self) -> bool:
        """Bring what we hold in line with what we own; false where the listener must be asked again."""
        mine = self._owned()
        await self._revoke([held for held in self._positions if held not in mine])
        gained = [partition for partition in mine if partition not in self._positions]
        try:
            starts = await self._listener.on_assigned(gained) if gained else {}
        except Retryable:
            return False
        for partition in gained:
            self._check(partition, starts[partition])
        self._positions.update(starts)
        return True

    def _owned(self) -> dict[TopicPartition, None]:
        topics = [topic for topic in self.topics if self._members.owns(self, topic)]
        return {TopicPartition(topic, number): None for topic in topics for number in range(self._log.count(topic))}

    async def _revoke(self, lost: Sequence[TopicPartition]) -> None:
        if lost:
            for partition in lost:
                del self._positions[partition]
                self._paused.discard(partition)
            await self._listener.on_revoked(lost)

    def _check(self, partition: TopicPartition, offset: int) -> tuple[int, int]:
        first, end = self._log.span(partition)
        if not first <= offset <= end:
            raise LogTruncated(f"{partition.topic}/{partition.partition}: we stand at {offset}, the log holds {first} to {end}")
        return first, end

    async def _collect(self, limit: int) -> dict[TopicPartition, Batch]:
        moment = self._log.settled_at()  # before the ends are looked up: see `Batch.caught_up_at`
        wanted = [Wanted(at, start, self._check(at, start)[1]) for at, start in self._positions.items() if at not in self._paused]
        behind = [want for want in wanted if want.start < want.end]
        found = dict(zip(behind, await self._log.fetch(behind, limit), strict=True)) if behind else {}
        return {want.partition: self._deliver(want, found.get(want, []), moment) for want in wanted if self._stands(want)}

    def _stands(self, want: Wanted) -> bool:
        """Say whether the partition is still ours, running and where it was: all may change while the file is read."""
        at = want.partition
        return self._positions.get(at) == want.start and at not in self._paused and self._members.owns(self, at.topic)

    def _deliver(self, want: Wanted, records: Sequence[Record], moment: datetime) -> Batch:
        position = records[-1].offset + 1 if records else want.end
        self._positions[want.partition] = position
        return Batch(records, position, moment if position == want.end else None)
