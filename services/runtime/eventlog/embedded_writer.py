"""The embedded log's one writer: concurrent appends share one transaction and one fsync."""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from services.contracts.errors import Fatal, LogUnavailable, PovodError
from services.contracts.moments import to_micros
from services.runtime.clock import Clock
from services.runtime.eventlog.embedded_file import Append, Bounds
from services.runtime.eventlog.port import OutgoingRecord, TopicPartition

Placed = Mapping[TopicPartition, Sequence[OutgoingRecord]]
_GROUP_BYTES = 8_388_608
"""A group commit takes waiting appends up to this many bytes, and at least one."""
_BACKLOG_BYTES = 134_217_728
"""More than this waiting for the disk, and appends are refused: memory is bounded."""


class Write(Protocol):
    """How a group reaches the disk: see `embedded_file.write`, in a thread."""

    async def __call__(self, appends: Sequence[Append], appended_at: int) -> None:
        """Store all or nothing; raises `sqlite3.Error`."""


class _Waiting(NamedTuple):
    placed: Placed
    weight: int
    stored: asyncio.Future[None]


class GroupWriter:
    """Takes whatever appends wait, writes them as one transaction, and tells each of them."""

    def __init__(self, write: Write, bounds: Mapping[TopicPartition, Bounds], clock: Clock, linger: timedelta) -> None:
        self._write = write
        self._bounds = bounds
        self._clock = clock
        self._linger = linger.total_seconds()
        self._waiting: list[_Waiting] = []
        self._weight = 0
        self._writing_since: datetime | None = None
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self.healthy = True

    def start(self, stored: Callable[[], None]) -> None:
        """Begin; `stored` is called after every group that reached the disk."""
        self._task = asyncio.create_task(self._run(stored), name="embedded log writer")

    async def append(self, placed: Placed, weight: int) -> None:
        """Wait until the records are on the disk; raises `LogUnavailable`."""
        if self._closing or self._task is None or self._task.done():
            raise LogUnavailable("the event log is closed")
        if self._weight + weight > _BACKLOG_BYTES:
            raise LogUnavailable(f"{self._weight} bytes already wait for the disk")
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(placed, weight, stored))
        self._weight += weight
        self._wake.set()
        await stored

    def settled_at(self) -> datetime:
        """Return a moment before which every record that bears an earlier time is visible: now, or when the write under way began."""
        now = self._clock.now()
        return now if self._writing_since is None else min(now, self._writing_since)

    async def close(self) -> None:
        """Write what waits, then stop."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task

    async def _run(self, stored: Callable[[], None]) -> None:
        while not self._closing or self._waiting:
            await self._wake.wait()
            if self._linger and not self._closing:
                await asyncio.sleep(self._linger)
            self._wake.clear()
            while group := self._take():
                await self._commit(group)
                stored()

    def _take(self) -> list[_Waiting]:
        weight = count = 0
        for waiting in self._waiting:
            if count and weight + waiting.weight > _GROUP_BYTES:
                break
            weight += waiting.weight
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        self._weight -= weight
        return group

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        appends = self._joined(group)
        self._writing_since = self._clock.now()
        error: PovodError | None = LogUnavailable("the event log stopped while it wrote")
        try:
            await self._write(list(appends.values()), to_micros(self._writing_since))
            error = None
        except sqlite3.Error as failure:
            error = translated(failure)
        finally:
            self.healthy = error is None
            if error is None:
                self._extend(appends)
            self._writing_since = None
            _settle(group, error)

    def _joined(self, group: Sequence[_Waiting]) -> dict[TopicPartition, Append]:
        """Lay the group's records out, partition by partition, in the order in which they were appended."""
        records: dict[TopicPartition, list[OutgoingRecord]] = {}
        for waiting in group:
            for partition, share in waiting.placed.items():
                records.setdefault(partition, []).extend(share)
        return {at: Append(self._bounds[at].id, self._bounds[at].end, found) for at, found in records.items()}

    def _extend(self, appends: Mapping[TopicPartition, Append]) -> None:
        for partition, append in appends.items():
            self._bounds[partition].end = append.first_offset + len(append.records)


def translated(error: sqlite3.Error) -> PovodError:
    """Return our exception: what another try may cure (a full disk, a busy file), or what it never will (a damaged one)."""
    if isinstance(error, (sqlite3.OperationalError, sqlite3.ProgrammingError)):
        return LogUnavailable(f"the log's file gave up: {error}")
    return Fatal(f"the log's file can't be used: {error}")


def _settle(group: Sequence[_Waiting], error: PovodError | None) -> None:
    for waiting in group:
        with suppress(asyncio.InvalidStateError):  # whoever waited was cancelled
            if error is None:
                waiting.stored.set_result(None)
            else:
                waiting.stored.set_exception(error)
