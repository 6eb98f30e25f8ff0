"""Laws of the rules' outbox relay, on both databases: every row once, in order, from memory or from the table."""

from itertools import count

import pytest
from prometheus_client import CollectorRegistry

from services.contracts.errors import LogUnavailable
from services.contracts.topics import DISPATCH
from services.rules import store
from services.rules.relay import MAX_HELD, OutboxRelay
from services.rules.store import OutboxRow
from services.runtime.database import Database
from services.runtime.eventlog.port import EventLog
from services.runtime.telemetry.metrics import Metrics
from tests.laws.log_readers import drain, started

PARTITION = 0


@pytest.fixture
async def log(embedded_log: EventLog) -> EventLog:
    """Return a log with the dispatch topic."""
    await embedded_log.ensure_topics({DISPATCH: 1})
    return embedded_log


@pytest.fixture
def relay(database: Database, log: EventLog) -> OutboxRelay:
    """Return the relay of a partition of which nothing was published yet."""
    return OutboxRelay(database, log, Metrics(CollectorRegistry()), PARTITION, 0)


def rows(first: int, last: int, mark: str = "stored") -> list[OutboxRow]:
    """Return the rows with these numbers."""
    return [OutboxRow(number, DISPATCH, "ann", f"{number} {mark}", None) for number in range(first, last + 1)]


async def put(database: Database, added: list[OutboxRow]) -> None:
    """Commit rows."""
    async with database.transaction() as connection:
        await store.append_outbox(connection, PARTITION, added)


async def left(database: Database) -> int:
    """Return how many rows wait."""
    async with database.reading() as connection:
        return len(await store.unpublished(connection, PARTITION, 0, 10_000))


async def published(log: EventLog, number: int) -> list[str]:
    """Return what was published, in order; waits until at least `number` records have come."""
    reader = await started(log, "test", DISPATCH)
    found = [record.value.decode() for record in await drain(reader, number)]
    await reader.close()
    return found


async def publish_all(relay: OutboxRelay) -> int:
    """Publish until nothing is left; return how many rows that were."""
    total = 0
    while more := await relay.publish():
        total += more
    return total


async def test_offered_rows_are_published_from_memory(database: Database, log: EventLog, relay: OutboxRelay) -> None:
    """Rows just committed are not read again; they are deleted all the same, and those behind them come from the table."""
    await put(database, rows(1, 5))
    relay.offer(rows(1, 3, "held"))
    assert (await relay.publish(), await left(database)) == (3, 2)
    assert (await relay.publish(), await relay.publish(), relay.published) == (2, 0, 5)
    assert await published(log, 5) == ["1 held", "2 held", "3 held", "4 stored", "5 stored"]


async def test_rows_that_do_not_follow_are_read_in_their_turn(database: Database, log: EventLog, relay: OutboxRelay) -> None:
    """Rows behind others that lie in the table only wait for them; those already published do not go out again."""
    await put(database, rows(1, 6))
    relay.offer(rows(4, 6, "held"))
    assert await publish_all(relay) == 6
    relay.offer(rows(4, 6, "late"))
    assert await publish_all(relay) == 0
    assert await published(log, 6) == [row.value for row in rows(1, 6)]


async def test_memory_is_bounded(database: Database, log: EventLog, relay: OutboxRelay) -> None:
    """What is offered beyond the bound is left to the table; all of it goes out, once and in order."""
    total, step = MAX_HELD + 1_500, 500
    await put(database, rows(1, total))
    for first in range(1, total, step):
        relay.offer(rows(first, first + step - 1, "held"))
    assert await publish_all(relay) == total
    found = await published(log, total)
    assert [text.split()[1] for text in found] == ["held"] * MAX_HELD + ["stored"] * 1_500
    assert all(text.startswith(f"{number} ") for text, number in zip(found, count(1), strict=False))


async def test_held_rows_stay_while_the_log_is_unavailable(database: Database, log: EventLog, relay: OutboxRelay) -> None:
    """Rows that were not acknowledged are neither forgotten nor deleted."""
    await put(database, rows(1, 2))
    relay.offer(rows(1, 2))
    await log.close()
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            await relay.publish()
    assert (relay.published, await left(database)) == (0, 2)
