"""What Povod's own parts publish: event outbox and dead letters, from the transaction to the log, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import text

from services.contracts.codec import EVENT_HEADERS, decode_event
from services.contracts.errors import LogUnavailable
from services.contracts.events import Event
from services.contracts.ids import CustomerId, EventId
from services.runtime import dead_letters, event_outbox
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.dead_letter_relay import DeadLetterRelay
from services.runtime.dead_letters import DeadLetter
from services.runtime.event_outbox import EventOutboxRelay
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.eventlog.port import EventLog, Record
from services.runtime.telemetry.metrics import Metrics
from tests.fixtures_log import EmbeddedLogs
from tests.laws.log_readers import drain, started

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DLQ = event_outbox.TOPIC + ".dlq"


def event(number: int, customer: str = "ann") -> Event:
    """Return an event received `number` seconds after noon."""
    at = NOON + timedelta(seconds=number)
    return Event(
        id=EventId(f"e{number}"),
        type="message.sent",
        source="povod",
        subject=CustomerId(customer),
        time=at,
        receivedtime=at,
        data={"n": number},
    )


def letter(offset: int, *, key: bytes | None = b"ann", value: bytes = b"{", error: str = "cut short") -> DeadLetter:
    """Return a record that was given up."""
    return DeadLetter(Record(event_outbox.TOPIC, 1, offset, key, value, (), NOON), "undecodable_event", error, NOON)


@pytest.fixture
def metrics() -> Metrics:
    """Return metrics with a registry of their own."""
    return Metrics(CollectorRegistry())


@pytest.fixture
async def log(embedded_log: EventLog) -> EventLog:
    """Return a log with the topics that are used here."""
    await embedded_log.ensure_topics({event_outbox.TOPIC: 2, DLQ: 1})
    return embedded_log


@pytest.fixture
def relay(database: Database, log: EventLog, metrics: Metrics) -> EventOutboxRelay:
    """Return a relay of the event outbox."""
    return EventOutboxRelay(database, log, metrics)


@pytest.fixture
async def unavailable(embedded_logs: EmbeddedLogs) -> AsyncIterator[EventLog]:
    """Return a log that is closed: nothing is acknowledged."""
    log = EmbeddedEventLog(embedded_logs.path.with_name("other.db"), {event_outbox.TOPIC: 1}, SystemClock())
    await log.start()
    await log.close()
    yield log
    await log.close()


async def put(database: Database, *events: Event) -> None:
    """Write events in one transaction."""
    async with database.transaction() as connection:
        await event_outbox.put(connection, events)


async def depth(database: Database) -> int:
    """Return how many events wait."""
    async with database.reading() as connection:
        found: int = (await connection.execute(text("SELECT count(*) FROM event_outbox"))).scalar_one()
    return found


async def published(log: EventLog, topic: str, count: int) -> list[Record]:
    """Return everything in a topic; waits until at least `count` records have come."""
    reader = await started(log, "test", topic)
    found = await drain(reader, count)
    await reader.close()
    return found


async def test_rows_go_out_in_order_and_are_deleted(database: Database, log: EventLog, relay: EventOutboxRelay, metrics: Metrics) -> None:
    """Events leave in the order in which they were received, with the customer as key, and only then are they deleted."""
    await put(database, event(3), event(1))
    await put(database, event(2), event(2))
    assert await relay.publish() == 3
    records = await published(log, event_outbox.TOPIC, 3)
    assert [decode_event(record.value) for record in records] == [event(1), event(2), event(3)]
    assert {(record.key, record.headers) for record in records} == {(b"ann", EVENT_HEADERS)}
    assert (await depth(database), await relay.publish()) == (0, 0)
    assert metrics.value("povod_outbox_published_total", outbox="events") == 3


async def test_the_trace_goes_on(database: Database, log: EventLog, relay: EventOutboxRelay) -> None:
    """An event's trace context travels in its record's headers too."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await put(database, msgspec.structs.replace(event(1), traceparent=trace))
    await relay.publish()
    (record,) = await published(log, event_outbox.TOPIC, 1)
    assert dict(record.headers)["traceparent"] == trace.encode()


async def test_a_rolled_back_transaction_publishes_nothing(database: Database, relay: EventOutboxRelay) -> None:
    """The event is part of what caused it: no cause, no event."""
    with pytest.raises(RuntimeError):
        await _put_and_fail(database)
    assert await relay.publish() == 0


async def _put_and_fail(database: Database) -> None:
    async with database.transaction() as connection:
        await event_outbox.put(connection, [event(1)])
        raise RuntimeError("crash")


async def test_rows_stay_while_the_log_is_unavailable(
    database: Database, unavailable: EventLog, relay: EventOutboxRelay, metrics: Metrics
) -> None:
    """Nothing is deleted before the log's acknowledgement; another relay publishes it later."""
    await put(database, event(1))
    with pytest.raises(LogUnavailable):
        await EventOutboxRelay(database, unavailable, metrics).publish()
    assert await depth(database) == 1
    assert await relay.publish() == 1


async def test_several_relays_share_the_work(database: Database, log: EventLog, metrics: Metrics) -> None:
    """Relays of several processes publish each row at least once and leave none; on PostgreSQL each exactly once."""
    await put(database, *(event(n, f"customer-{n % 7}") for n in range(1200)))
    relays = [EventOutboxRelay(database, log, metrics) for _ in range(3)]
    counts = [sum(round_) for round_ in await asyncio.gather(*(_publish_all(each) for each in relays))]
    assert await depth(database) == 0
    records = await published(log, event_outbox.TOPIC, sum(counts))
    assert len({record.value for record in records}) == 1200
    if database.dialect == "postgresql":
        assert sum(counts) == 1200


async def _publish_all(relay: EventOutboxRelay) -> list[int]:
    counts = []
    while count := await relay.publish():
        counts.append(count)
    return counts


async def test_a_running_relay_is_woken(database: Database, log: EventLog, relay: EventOutboxRelay) -> None:
    """A wake after the commit publishes at once; when told to stop, the relay publishes what is left and returns."""
    stop = asyncio.Event()
    running = asyncio.create_task(relay.run(stop))
    await put(database, event(1))
    relay.wake()
    async with asyncio.timeout(1.5):
        assert [record.key for record in await published(log, event_outbox.TOPIC, 1)] == [b"ann"]
    await put(database, event(2))
    stop.set()
    await asyncio.wait_for(running, 2)
    assert await depth(database) == 0


async def test_dead_letters_carry_their_reason_and_origin(database: Database, log: EventLog, metrics: Metrics) -> None:
    """The record on `<topic>.dlq` has the original key and bytes, and headers that say why, where from and when."""
    value = b'\xff\x00 {"not": json'
    await keep(database, letter(7, key=b"\xfeann", value=value, error="byte 0: \x00 and \ud800 in it"), letter(7, value=b"again"))
    relay = DeadLetterRelay(database, log, metrics)
    assert (await relay.publish(), await relay.publish()) == (1, 0)
    (record,) = await published(log, DLQ, 1)
    assert (record.key, record.value) == (b"\xfeann", value)
    assert dict(record.headers) == {
        "reason": b"undecodable_event",
        "error": b"byte 0: \\x00 and \\ud800 in it",
        "source-topic": b"povod.events",
        "source-partition": b"1",
        "source-offset": b"7",
        "at": b"2026-03-02T12:00:00+00:00",
    }


async def test_a_dead_letter_stays_in_its_table(database: Database, log: EventLog, metrics: Metrics) -> None:
    """Publishing marks the row and keeps it: the table is the record."""
    await keep(database, letter(1, key=None), letter(2))
    await DeadLetterRelay(database, log, metrics).publish()
    async with database.reading() as connection:
        rows = (await connection.execute(text("SELECT record_offset, published, value FROM dead_letters ORDER BY 1"))).all()
    assert [(row.record_offset, bool(row.published), bytes(row.value)) for row in rows] == [(1, True, b"{"), (2, True, b"{")]
    assert [record.key for record in await published(log, DLQ, 2)] == [b"", b"ann"]


async def test_dead_letters_wait_while_the_log_is_unavailable(database: Database, unavailable: EventLog, metrics: Metrics) -> None:
    """What was not acknowledged is not marked."""
    await keep(database, letter(1))
    relay = DeadLetterRelay(database, unavailable, metrics)
    with pytest.raises(LogUnavailable):
        await relay.publish()
    async with database.reading() as connection:
        assert not (await connection.execute(text("SELECT published FROM dead_letters"))).scalar_one()


async def keep(database: Database, *letters: DeadLetter) -> None:
    """Write dead letters in one transaction."""
    async with database.transaction() as connection:
        await dead_letters.put(connection, letters)
