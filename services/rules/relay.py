"""The outbox relay of one owned partition: publishes rows in the order of their numbers, deletes them after the acknowledgement.

A crash between the two publishes a row twice: dispatch drops a message id that it has, readers of events one they have decided.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import groupby, islice
from operator import attrgetter

from services.contracts.codec import EVENT_HEADERS, TRACEPARENT
from services.contracts.errors import Fatal, Rejected
from services.contracts.topics import DISPATCH
from services.rules import store
from services.rules.store import OutboxRow
from services.runtime.database import Database
from services.runtime.eventlog.port import EventLog, OutgoingRecord
from services.runtime.relay import RelayLoop
from services.runtime.telemetry.metrics import OUTBOX_PUBLISHED, Metrics

BATCH = 2_000
MAX_DEPTH = 20_000
"""Rows not yet published beyond which no more batches are decided."""
MAX_HELD = 4_000
"""Rows held in memory; those behind them are read from the table in their turn."""


class OutboxRelay:
    """Publishes the outbox of one partition; only its owner runs one. `published` is the number up to which all is published."""

    def __init__(self, database: Database, log: EventLog, metrics: Metrics, partition: int, published: int) -> None:
        self.published = published
        self._database = database
        self._log = log
        self._metrics = metrics
        self._partition = partition
        self._held: deque[OutboxRow] = deque()
        self._moved = asyncio.Event()
        self._loop = RelayLoop("outbox", self.publish)

    def wake(self) -> None:
        """Say that rows may lie in the table."""
        self._loop.wake()

    def offer(self, rows: Sequence[OutboxRow]) -> None:
        """Take over rows that were committed just now: they need not be read again."""
        follows = self._held[-1].seq if self._held else self.published
        if rows[0].seq == follows + 1 and len(self._held) < MAX_HELD:
            self._held.extend(rows)
        self._loop.wake()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`; what lies there from before comes first. Backs off while log or database are unavailable."""
        await self._loop.run(stop)

    async def has_room(self, outbox_seq: int) -> None:
        """Return once few enough of the rows up to `outbox_seq` wait to be published: back-pressure."""
        while outbox_seq - self.published > MAX_DEPTH:
            self._moved.clear()
            await self._moved.wait()

    async def publish(self) -> int:
        """Publish the next rows; return how many. Raises `LogUnavailable`, `DatabaseUnavailable`, `Fatal`."""
        rows = await self._next()
        if rows:
            await self._append(rows)
            async with self._database.transaction() as connection:
                await store.delete_published(connection, self._partition, self.published, rows[-1].seq)
            self.published = rows[-1].seq
            self._moved.set()
            self._metrics.add(OUTBOX_PUBLISHED, len(rows), outbox="rules")
        return len(rows)

    async def _next(self) -> Sequence[OutboxRow]:
        """Return the rows behind the last one published: from memory, else from the table."""
        while self._held and self._held[0].seq <= self.published:
            self._held.popleft()
        if self._held:
            return list(islice(self._held, BATCH))
        async with self._database.reading() as connection:
            return await store.unpublished(connection, self._partition, self.published, BATCH)

    async def _append(self, rows: Sequence[OutboxRow]) -> None:
        for topic, of_topic in groupby(rows, attrgetter("topic")):
            try:
                await self._log.append(topic, [_record(row) for row in of_topic])
            except Rejected as error:
                raise Fatal(f"the outbox of partition {self._partition} holds a record that {topic} does not take: {error}") from error


def _record(row: OutboxRow) -> OutgoingRecord:
    headers = () if row.topic == DISPATCH else EVENT_HEADERS
    if row.traceparent:
        headers = (*headers, (TRACEPARENT, row.traceparent.encode()))
    return OutgoingRecord(row.key.encode(), row.value.encode(), headers)
