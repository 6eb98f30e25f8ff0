"""Looking into an embedded log that another process owns: for `povod status`, `povod tail`, and tests that wait until it is drained."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from services.contracts.errors import Fatal, LogUnavailable
from services.runtime.clock import Clock
from services.runtime.eventlog import embedded_file as file
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.eventlog.embedded_writer import translated
from services.runtime.eventlog.port import OutgoingRecord, TopicPartition

_LOOK_EVERY = 0.1
"""Seconds between two looks for new records (real time)."""


class WatchedEventLog(EmbeddedEventLog):
    """An embedded log without its lock: it reads what another process writes, and writes nothing.

    New records appear within a tenth of a second, so `Batch.caught_up_at` may be too late by as much.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(path, {}, clock)
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the file; raises `Fatal` where there is none."""
        if not self._path.exists():
            raise Fatal(f"there is no log at {self._path}: start `povod serve` with this data folder once")
        try:
            await self._connect()
        except sqlite3.Error as error:
            raise translated(error) from error
        self._open = True
        await self._look()
        self._looking = asyncio.create_task(self._keep_looking(), name="watch the embedded log")

    async def append(self, topic: str, records: Sequence[OutgoingRecord]) -> None:  # noqa: ARG002 - the port's
        """Refuse: another process owns the file."""
        raise LogUnavailable(f"{self._path} was opened for reading only")

    async def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """Return the first offset and the end as of now."""
        self._need_open()
        await self._look()
        return await super().bounds(partition)

    async def is_healthy(self) -> bool:
        """Say no: nothing can be appended here."""
        return False

    async def close(self) -> None:
        """Close the file."""
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking
        await super().close()

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            with suppress(LogUnavailable):
                await self._look()
                self._members.wake()

    async def _look(self) -> None:
        try:
            self._learn(await self._threads[0].run(file.look, self._connections[0]))
        except sqlite3.Error as error:
            raise translated(error) from error
