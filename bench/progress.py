"""How far the rules have come: cursors and outbox, sampled while they work."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

import asyncpg

from bench.figures import CannotMeasureError

_PROGRESS = (
    "SELECT (SELECT coalesce(sum(next_offset), 0) FROM cursors WHERE topic = 'povod.events') AS read,"
    " NOT EXISTS (SELECT 1 FROM outbox) AS published"
)
SECONDS = 120


class Span(NamedTuple):
    """Records read between the first sample with progress and the last record published."""

    records: int
    seconds: float
    processor_seconds: float

    @property
    def rate(self) -> float:
        """Return records a second."""
        return self.records / self.seconds

    @property
    def processor_micros(self) -> float:
        """Return processor time a record, in microseconds."""
        return 1e6 * self.processor_seconds / self.records


async def watch(database_url: str, start: int, end: int, processor: Callable[[], float]) -> Span:
    """Return the span from the first progress beyond `start` until `end` is read and all that came of it is published.

    `processor` gives the processor time that the rules have used until now, in seconds.
    """
    connection = await asyncpg.connect(database_url)
    deadline, read, first = time.monotonic() + SECONDS, start, None
    try:
        while time.monotonic() < deadline:
            ((read, is_published),) = await connection.fetch(_PROGRESS)
            now = time.monotonic()
            if first is None and read > start:
                first = (now, int(read), processor())
            if read >= end and is_published and first:
                return Span(end - first[1], now - first[0], processor() - first[2])
            await asyncio.sleep(0.02)
    finally:
        await connection.close()
    raise CannotMeasureError(f"the rules stand at {read} of {end} after {SECONDS} s")


async def count(database_url: str, query: str) -> int:
    """Return the single number that a query gives."""
    connection = await asyncpg.connect(database_url)
    try:
        return int(await connection.fetchval(query))
    finally:
        await connection.close()
