"""Retention of the embedded log: what goes, what stays, and what goes on meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.contracts.topics import Topic
from services.runtime import cursors
from services.runtime.clock import FrozenClock
from services.runtime.database import Database
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.eventlog.port import TopicPartition
from services.runtime.eventlog.retention import Retention
from tests.laws.log_readers import record

EVENTS, LETTERS = TopicPartition("povod.events", 0), TopicPartition("povod.events.dlq", 0)
DAY = timedelta(days=1)


def topic(name: str, retention: timedelta) -> Topic:
    """Return a topic of one partition."""
    return Topic(name=name, partitions=1, retention=retention, owner="rules", writers=(), key="customer", schemas=())


TOPICS = [topic(EVENTS.topic, 14 * DAY), topic(LETTERS.topic, 30 * DAY)]


@pytest.fixture
async def log(tmp_path: Path, frozen_clock: FrozenClock) -> AsyncIterator[EmbeddedEventLog]:
    """Return an open log with an events topic and its dead letters."""
    log = EmbeddedEventLog(tmp_path / "log.db", {each.name: 1 for each in TOPICS}, frozen_clock)
    await log.start()
    yield log
    await log.close()


async def append(log: EmbeddedEventLog, at: TopicPartition, count: int) -> None:
    """Append that many records."""
    await log.append(at.topic, [record("a", str(n)) for n in range(count)])


async def work_off(database: Database, offset: int) -> None:
    """Let the events' owner have come to an offset."""
    async with database.transaction() as connection:
        cursor = await cursors.acquire(connection, EVENTS, "rules")
        await cursors.advance(connection, cursor, cursor._replace(next_offset=offset))


async def test_what_is_old_and_worked_off_goes(log: EmbeddedEventLog, sqlite_database: Database, frozen_clock: FrozenClock) -> None:
    """Records go once they are older than the topic keeps them and lie below the cursor; the younger stay."""
    await append(log, EVENTS, 5_000)
    frozen_clock.advance(10 * DAY)
    await append(log, EVENTS, 10)
    await work_off(sqlite_database, 5_005)
    retention = Retention(log, sqlite_database, frozen_clock, TOPICS)
    assert await retention.trim() == 0
    frozen_clock.advance(5 * DAY)
    assert await retention.trim() == 5_000
    assert await log.bounds(EVENTS) == (5_000, 5_010)
    frozen_clock.advance(30 * DAY)
    assert await retention.trim() == 5
    assert await log.bounds(EVENTS) == (5_005, 5_010)


async def test_what_nobody_has_read_stays(log: EmbeddedEventLog, sqlite_database: Database, frozen_clock: FrozenClock) -> None:
    """However old, records of a partition without a cursor stay, for somebody will read them."""
    await append(log, EVENTS, 10)
    frozen_clock.advance(365 * DAY)
    assert await Retention(log, sqlite_database, frozen_clock, TOPICS).trim() == 0
    assert await log.bounds(EVENTS) == (0, 10)


async def test_dead_letters_go_by_age(log: EmbeddedEventLog, sqlite_database: Database, frozen_clock: FrozenClock) -> None:
    """Nobody reads dead letters in order: they go when they are old enough."""
    await append(log, LETTERS, 3)
    frozen_clock.advance(30 * DAY)
    await append(log, LETTERS, 2)
    retention = Retention(log, sqlite_database, frozen_clock, TOPICS)
    assert await retention.trim() == 0
    frozen_clock.advance(timedelta(microseconds=1))
    assert await retention.trim() == 3
    assert await log.bounds(LETTERS) == (3, 5)


async def test_a_trimmed_log_goes_on_where_it_was(
    log: EmbeddedEventLog, sqlite_database: Database, frozen_clock: FrozenClock, tmp_path: Path
) -> None:
    """Offsets go on after everything was dropped, also in the next process."""
    await append(log, EVENTS, 3)
    await work_off(sqlite_database, 3)
    frozen_clock.advance(15 * DAY)
    assert await Retention(log, sqlite_database, frozen_clock, TOPICS).trim() == 3
    await log.close()
    again = EmbeddedEventLog(tmp_path / "log.db", {}, frozen_clock)
    await again.start()
    await append(again, EVENTS, 1)
    assert await again.bounds(EVENTS) == (3, 4)
    await again.close()


async def test_it_trims_until_told_to_stop(log: EmbeddedEventLog, sqlite_database: Database, frozen_clock: FrozenClock) -> None:
    """The service trims again and again, outlives a log that is away, and ends when told."""
    stop = asyncio.Event()
    retention = Retention(log, sqlite_database, frozen_clock, TOPICS, every=timedelta(milliseconds=1))
    running = asyncio.create_task(retention.run(stop))
    await append(log, LETTERS, 1)
    frozen_clock.advance(31 * DAY)
    async with asyncio.timeout(10):
        while await log.bounds(LETTERS) != (1, 1):  # noqa: ASYNC110 - another task's work can only be looked at
            await asyncio.sleep(0.001)
    await log.close()
    assert await asyncio.wait({running}, timeout=0.05) == (set(), {running})
    stop.set()
    await running
