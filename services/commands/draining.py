"""Is everything said and done? For runs on a stepped clock and for tests: nothing unread, due, queued or unpublished is left."""

import asyncio
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import text

from services.contracts.moments import to_micros
from services.contracts.topics import DISPATCH, EVENTS
from services.runtime.database import Database
from services.runtime.eventlog.port import EventLog, TopicPartition

_STATE = text(
    "SELECT topic, partition, next_offset,"
    " EXISTS (SELECT 1 FROM customers WHERE next_due_at <= :now)"
    " OR EXISTS (SELECT 1 FROM outbox) OR EXISTS (SELECT 1 FROM event_outbox)"
    " OR EXISTS (SELECT 1 FROM deliveries WHERE ended_at IS NULL AND (due_at IS NULL OR due_at <= :now)) AS pending"
    " FROM cursors"
)
"""One statement, so one snapshot: where the consumers stood when nothing was pending."""


class Drain:
    """Asks whether the services have worked off everything that `now` allows."""

    def __init__(self, database: Database, log: EventLog, topics: Iterable[str] = (EVENTS, DISPATCH)) -> None:
        self._database = database
        self._log = log
        self._topics = tuple(topics)
        self._partitions: tuple[TopicPartition, ...] = ()

    async def is_complete(self, now: datetime) -> bool:
        """Say whether nothing is left to do at `now`.

        The log's ends are looked up after the database: whatever was appended meanwhile lies behind the cursors that were seen, so a
        yes is no race's. Before the first partition is taken the answer is no.
        """
        async with self._database.reading() as connection:
            rows = (await connection.execute(_STATE, {"now": to_micros(now)})).all()
        if not rows or rows[0].pending:
            return False
        return await self._all_read({TopicPartition(row.topic, row.partition): row.next_offset for row in rows})

    async def wait(self, now: datetime, *, poll_seconds: float = 0.01) -> None:
        """Return once everything is done; polls in real time."""
        while not await self.is_complete(now):  # noqa: ASYNC110 - another process's state can only be asked for
            await asyncio.sleep(poll_seconds)

    async def _all_read(self, cursors: dict[TopicPartition, int]) -> bool:
        if not self._partitions:
            self._partitions = tuple([TopicPartition(topic, p) for topic in self._topics for p in range(await self._log.partitions(topic))])
        bounds = await asyncio.gather(*map(self._log.bounds, self._partitions))
        return all(cursors.get(p, 0) >= end for p, (_, end) in zip(self._partitions, bounds, strict=True))
