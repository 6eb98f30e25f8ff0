"""Events that Povod's own parts publish: written in the transaction that causes them, relayed to the events topic. Table `event_outbox`.

Owner: runtime; used by consent and dispatch. A row is deleted after the log's acknowledgement, so a crash between the two publishes
it once more: harmless, since readers deduplicate by (source, id). Rows of one customer go out in the order of their `receivedtime`,
as long as one relay sees them; several relays may reorder them.
"""

import asyncio
from collections.abc import Sequence

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.codec import EVENT_HEADERS, TRACEPARENT, decode_event, encode_event, key_of
from services.contracts.events import Event
from services.contracts.moments import to_micros
from services.contracts.topics import EVENTS
from services.runtime.bulk import BulkStatement
from services.runtime.database import Database
from services.runtime.eventlog.port import EventLog, OutgoingRecord
from services.runtime.relay import RelayLoop
from services.runtime.telemetry.metrics import OUTBOX_PUBLISHED, Metrics

TOPIC = EVENTS
BATCH = 500
_PUT = BulkStatement(
    "INSERT INTO event_outbox (id, customer, value, created_at) SELECT id, customer, value, created_at FROM {rows} WHERE true"
    " ON CONFLICT (id) DO NOTHING",
    id="text",
    customer="text",
    value="text",
    created_at="bigint",
)
_OLDEST = "SELECT id, customer, value FROM event_outbox ORDER BY created_at, id LIMIT :batch"
_READ = text(_OLDEST)
_TAKE = text(f"{_OLDEST} FOR UPDATE SKIP LOCKED")
_DELETE = BulkStatement("DELETE FROM event_outbox WHERE id IN (SELECT id FROM {rows})", id="text")


async def put(connection: AsyncConnection, events: Sequence[Event]) -> None:
    """Write events into the outbox in the caller's transaction; an id that is there already is left as it is.

    Wake the relay after the commit.
    """
    if events:
        rows = [(event.id, event.subject, encode_event(event).decode(), to_micros(event.receivedtime)) for event in events]
        await _PUT.execute(connection, rows)


class EventOutboxRelay:
    """Publishes the outbox; every process may run one."""

    def __init__(self, database: Database, log: EventLog, metrics: Metrics, *, topic: str = TOPIC) -> None:
        self._database = database
        self._log = log
        self._metrics = metrics
        self._topic = topic
        self._loop = RelayLoop("event_outbox", self.publish)

    def wake(self) -> None:
        """Say that rows were committed; harmless at any time."""
        self._loop.wake()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop` is set, then what is left, once; backs off while log or database are unavailable."""
        await self._loop.run(stop)

    async def publish(self) -> int:
        """Publish the oldest rows and delete them; return how many. Raises `LogUnavailable` or `DatabaseUnavailable`."""
        published = await (self._publish_shared() if self._database.dialect == "postgresql" else self._publish_alone())
        if published:
            self._metrics.add(OUTBOX_PUBLISHED, published, outbox="events")
        return published

    async def _publish_shared(self) -> int:
        """Hold the rows while they are published, so that the relays of other processes take others."""
        async with self._database.transaction() as connection:
            rows = (await connection.execute(_TAKE, {"batch": BATCH})).all()
            await self._append(rows)
            await _delete(connection, rows)
        return len(rows)

    async def _publish_alone(self) -> int:
        """SQLite has one writer: it is not kept from others while the log writes."""
        async with self._database.reading() as connection:
            rows = (await connection.execute(_READ, {"batch": BATCH})).all()
        if rows:
            await self._append(rows)
            async with self._database.transaction() as connection:
                await _delete(connection, rows)
        return len(rows)

    async def _append(self, rows: Sequence[Row[tuple[str, str, str]]]) -> None:
        if rows:
            await self._log.append(self._topic, [_record(row) for row in rows])


def _record(row: Row[tuple[str, str, str]]) -> OutgoingRecord:
    value = row.value.encode()
    traceparent = decode_event(value).traceparent
    headers = EVENT_HEADERS if traceparent is None else (*EVENT_HEADERS, (TRACEPARENT, traceparent.encode()))
    return OutgoingRecord(key_of(row.customer), value, headers)


async def _delete(connection: AsyncConnection, rows: Sequence[Row[tuple[str, str, str]]]) -> None:
    if rows:
        await _DELETE.execute(connection, [(row.id,) for row in rows])
