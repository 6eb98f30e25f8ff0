"""The embedded event log: one SQLite file, one process, the default engine.

`log.db` holds topics, partitions and records; WAL with `synchronous=FULL`, so an acknowledged append is on the disk. One thread
writes (concurrent appends share an fsync), one reads; the event loop is never blocked. There are no consumer groups as Kafka has
them: the newest reader of a group owns everything, the one before it is revoked.

Retention: nothing is deleted by itself. `trim` drops what lies below an offset; call it below every reader's cursor
(`services.runtime.eventlog.retention` does, in `povod serve`).
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from services.contracts.errors import Fatal, LogUnavailable
from services.contracts.moments import to_micros
from services.runtime.clock import Clock
from services.runtime.eventlog import embedded_file as file
from services.runtime.eventlog.embedded_reader import EmbeddedReader, Members, Wanted
from services.runtime.eventlog.embedded_writer import GroupWriter, translated
from services.runtime.eventlog.port import EventLogReader, OutgoingRecord, PartitionListener, Record, TopicPartition
from services.runtime.eventlog.records import place

T = TypeVar("T")
_TRIM_SLICE = 2_000
"""Records that one transaction deletes at most: appends wait for it."""


class _Thread:
    """One connection and the one thread that uses it."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def stop(self) -> None:
        self._pool.shutdown(wait=True)


class EmbeddedEventLog:
    """The event log in `path`; its lock file lies beside it.

    `topics` are made when missing (name: number of partitions). `linger` is how long a first append waits for company (real time);
    appends that come while the disk is busy share the next fsync anyway. Not to be shared between event loops.
    """

    def __init__(
        self,
        path: Path,
        topics: Mapping[str, int],
        clock: Clock,
        *,
        linger: timedelta = timedelta(0),
        ack_timeout: timedelta = timedelta(seconds=5),
    ) -> None:
        self._path = path
        self._topics = dict(topics)
        self._ack_timeout = ack_timeout.total_seconds()
        self._bounds: dict[TopicPartition, file.Bounds] = {}
        self._counts: dict[str, int] = {}
        self._members = Members()
        self._readers: list[EmbeddedReader] = []
        self._writer = GroupWriter(self._write, self._bounds, clock, linger)
        self._lock: sqlite3.Connection | None = None
        self._connections: list[sqlite3.Connection] = []
        self._threads = (_Thread("log-writer"), _Thread("log-reader"))
        self._open = False

    async def start(self) -> None:
        """Lock and open the file; raises `Fatal` where another process has it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock = file.lock(self._path.with_name(self._path.name + ".lock"))
            await self._connect()
            await self._make(self._topics)
        except sqlite3.Error as error:
            raise translated(error) from error
        self._open = True
        self._writer.start(self._members.wake)

    async def append(self, topic: str, records: Sequence[OutgoingRecord]) -> None:
        """Return once the records are on the disk."""
        if not records:
            return
        shares, weight = place(topic, records, self.count(topic))
        placed = {TopicPartition(topic, number): share for number, share in shares.items()}
        try:
            async with asyncio.timeout(self._ack_timeout):
                await self._writer.append(placed, weight)
        except TimeoutError as error:
            raise LogUnavailable(f"the disk did not answer within {self._ack_timeout} s") from error

    def reader(self, group: str, topics: Sequence[str], listener: PartitionListener) -> EventLogReader:
        """Return a reader that will own all partitions of its topics from its start on."""
        reader = EmbeddedReader(self, self._members, group, topics, listener)
        self._readers.append(reader)
        return reader

    async def partitions(self, topic: str) -> int:
        """Return the topic's number of partitions."""
        return self.count(topic)

    async def ensure_topics(self, topics: Mapping[str, int]) -> Mapping[str, int]:
        """Create what is missing."""
        self._need_open()
        try:
            await self._make(topics)
        except sqlite3.Error as error:
            raise translated(error) from error
        return dict(self._counts)

    async def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """Return the first offset and the end."""
        self._need_open()
        if partition not in self._bounds:
            raise Fatal(f"there is no partition {partition.topic}/{partition.partition}")
        return self.span(partition)

    async def trim(self, partition: TopicPartition, before: int) -> None:
        """Delete the records below an offset, for good; a reader that stands below it will get `LogTruncated`.

        Never trims beyond the end. Raises `LogUnavailable`.
        """
        self._need_open()
        bounds = self._bounds[partition]
        bounds.first = max(bounds.first, min(before, bounds.end))
        try:
            await self._threads[0].run(file.trim, self._connections[0], bounds.id, bounds.first)
        except sqlite3.Error as error:
            raise translated(error) from error
        self._members.wake()

    async def trim_older(self, partition: TopicPartition, below: int, before: datetime) -> int:
        """Trim below an offset what was appended before a moment, a slice at a time so that appends get their turn; return how many.

        Stops at the first record that is not as old. Raises `LogUnavailable`.
        """
        self._need_open()
        began = self._bounds[partition].first
        below = min(below, self._bounds[partition].end)
        while (first := self._bounds[partition].first) < (slice_end := min(below, first + _TRIM_SLICE)):
            found = await self._first_young(partition, (first, slice_end), to_micros(before))
            await self.trim(partition, found)
            if found < slice_end:
                break
        return self._bounds[partition].first - began

    async def _first_young(self, partition: TopicPartition, span: tuple[int, int], before: int) -> int:
        try:
            return await self._threads[1].run(file.first_young, self._connections[1], self._bounds[partition].id, span, before)
        except sqlite3.Error as error:
            raise translated(error) from error

    async def is_healthy(self) -> bool:
        """Say whether the log is open and the last write succeeded."""
        return self._open and self._writer.healthy

    async def close(self) -> None:
        """Write what waits, let the readers go, close the file."""
        if self._open:
            self._open = False
            await self._writer.close()
            for reader in self._readers:
                await reader.close()
        for thread in self._threads:
            thread.stop()
        while self._connections:
            self._connections.pop().close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def count(self, topic: str) -> int:
        """Return the topic's number of partitions; raises `Fatal` where there is no such topic, `LogUnavailable` before `start`."""
        self._need_open()
        if (count := self._counts.get(topic)) is None:
            raise Fatal(f"there is no topic {topic!r} in {self._path}")
        return count

    def span(self, partition: TopicPartition) -> tuple[int, int]:
        """Return the first offset and the end, from memory."""
        bounds = self._bounds[partition]
        return bounds.first, bounds.end

    def settled_at(self) -> datetime:
        """Return a moment before which every appended record is inside `span`."""
        return self._writer.settled_at()

    async def fetch(self, wanted: Sequence[Wanted], limit: int) -> list[list[Record]]:
        """Read parts of partitions, in the reading thread; raises `LogUnavailable`."""
        self._need_open()
        try:
            return await self._threads[1].run(self._fetch, wanted, limit)
        except sqlite3.Error as error:
            raise translated(error) from error

    def _fetch(self, wanted: Sequence[Wanted], limit: int) -> list[list[Record]]:
        connection = self._connections[1]
        return [file.read(connection, want.partition, self._bounds[want.partition].id, (want.start, want.end), limit) for want in wanted]

    async def _write(self, appends: Sequence[file.Append], appended_at: int) -> None:
        await self._threads[0].run(file.write, self._connections[0], appends, appended_at)

    async def _connect(self) -> None:
        """Open one connection for the writing thread and one for the reading thread."""
        for thread in self._threads:
            self._connections.append(await thread.run(file.connect, self._path))

    async def _make(self, topics: Mapping[str, int]) -> None:
        await self._threads[0].run(file.prepare, self._connections[0], topics)
        found = await self._threads[0].run(file.look, self._connections[0])
        self._learn({at: bounds for at, bounds in found.items() if at not in self._bounds})

    def _learn(self, found: Mapping[TopicPartition, file.Bounds]) -> None:
        self._bounds.update(found)
        self._counts.update(Counter(at.topic for at in self._bounds))

    def _need_open(self) -> None:
        if not self._open:
            raise LogUnavailable("the event log is not open")
