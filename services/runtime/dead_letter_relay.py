"""Publishes dead letters to `<topic>.dlq`, the original bytes as value, with headers that say why and where from."""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.errors import Rejected
from services.contracts.moments import from_micros
from services.contracts.topics import DEAD_LETTERS
from services.runtime.bulk import BulkStatement
from services.runtime.database import Database
from services.runtime.eventlog.port import EventLog, OutgoingRecord
from services.runtime.relay import RelayLoop
from services.runtime.telemetry.metrics import OUTBOX_PUBLISHED, Metrics

BATCH = 100
_OLDEST = (
    "SELECT topic, partition, record_offset, reason, error, key, value, dead_at FROM dead_letters WHERE NOT published"
    " ORDER BY dead_at, topic, partition, record_offset LIMIT :batch"
)
_READ = text(_OLDEST)
_TAKE = text(f"{_OLDEST} FOR UPDATE SKIP LOCKED")
_MARK = BulkStatement(
    "UPDATE dead_letters SET published = true"
    " WHERE (topic, partition, record_offset) IN (SELECT topic, partition, record_offset FROM {rows})",
    topic="text",
    partition="integer",
    record_offset="bigint",
)
_log = structlog.get_logger()


class DeadLetterRelay:
    """Publishes rows that are not published yet; every process may run one. A crash may publish one twice; the row stays."""

    def __init__(self, database: Database, log: EventLog, metrics: Metrics) -> None:
        self._database = database
        self._log = log
        self._metrics = metrics
        self._loop = RelayLoop("dead_letters", self.publish)

    def wake(self) -> None:
        """Say that rows were committed; harmless at any time."""
        self._loop.wake()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop` is set, then what is left, once; backs off while log or database are unavailable."""
        await self._loop.run(stop)

    async def publish(self) -> int:
        """Publish the oldest rows and mark them; return how many. Raises `LogUnavailable` or `DatabaseUnavailable`."""
        shared = self._database.dialect == "postgresql"
        published = await (self._publish_shared() if shared else self._publish_alone())
        if published:
            self._metrics.add(OUTBOX_PUBLISHED, published, outbox="dead_letters")
        return published

    async def _publish_shared(self) -> int:
        async with self._database.transaction() as connection:
            rows = (await connection.execute(_TAKE, {"batch": BATCH})).all()
            await self._append(rows)
            await _mark(connection, rows)
        return len(rows)

    async def _publish_alone(self) -> int:
        async with self._database.reading() as connection:
            rows = (await connection.execute(_READ, {"batch": BATCH})).all()
        await self._append(rows)
        if rows:
            async with self._database.transaction() as connection:
                await _mark(connection, rows)
        return len(rows)

    async def _append(self, rows: Sequence[Row[Any]]) -> None:
        for topic in dict.fromkeys(row.topic for row in rows):
            of_topic = [row for row in rows if row.topic == topic]
            try:
                await self._log.append(topic + DEAD_LETTERS, [_record(row, row.value) for row in of_topic])
            except Rejected:
                await self._append_each(topic + DEAD_LETTERS, of_topic)

    async def _append_each(self, topic: str, rows: Sequence[Row[Any]]) -> None:
        """One of them can't be stored: find it, and publish it without its value, which stays in the table."""
        for row in rows:
            try:
                await self._log.append(topic, [_record(row, row.value)])
            except Rejected as error:
                _log.warning("a dead letter is published without its value", action="dead_letter.cut", topic=topic, error=str(error))
                await self._log.append(topic, [_record(row, b"", ("omitted", error.code.encode()))])


def _record(row: Row[Any], value: bytes, *more: tuple[str, bytes]) -> OutgoingRecord:
    headers = {
        "reason": row.reason,
        "error": row.error,
        "source-topic": row.topic,
        "source-partition": str(row.partition),
        "source-offset": str(row.record_offset),
        "at": from_micros(row.dead_at).isoformat(),
    }
    return OutgoingRecord(row.key or b"", value, (*((name, content.encode()) for name, content in headers.items()), *more))


async def _mark(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> None:
    if rows:
        await _MARK.execute(connection, [(row.topic, row.partition, row.record_offset) for row in rows])
