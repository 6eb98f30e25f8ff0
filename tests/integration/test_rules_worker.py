"""The rules service as a whole: every event decided exactly once, whatever the batches, restarts, crashes and zombies."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.errors import DatabaseUnavailable, LogUnavailable
from services.contracts.messages import Message
from services.contracts.partitioning import partition_of
from services.runtime import cursors
from services.runtime.database import Database
from services.runtime.eventlog.port import TopicPartition
from tests.builders import HOUR, NOON
from tests.rules_desk import EVENTS, PARTITIONS, Desk, opened_desk
from tests.rules_shop_day import LATER, cart, expected_of, order, outcome, registered, shop_day


@pytest.fixture
async def desk(tmp_path: Path, database: Database) -> AsyncIterator[Desk]:
    """Return a desk on each database, in the evening of the shop's day."""
    async with opened_desk(tmp_path, database, NOON + LATER) as found:
        yield found


@pytest.fixture
async def sqlite_desk(tmp_path: Path, sqlite_database: Database) -> AsyncIterator[Desk]:
    """Return a desk on SQLite."""
    async with opened_desk(tmp_path, sqlite_database, NOON + LATER) as found:
        yield found


@pytest.fixture
async def calm_database(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """Return a second database, for the run that nothing disturbs."""
    file = tmp_path / "calm.db"
    shutil.copy(sqlite_template, file)
    found = Database(f"sqlite:///{file}")
    yield found
    await found.close()


async def test_decisions_do_not_hang_on_the_size_of_batches(tmp_path: Path, database_url: str) -> None:
    """Batches of 1, 7 and 1,000 give the same inputs in the same order, and the same decisions."""
    found = []
    for size in (1, 7, 1_000):
        database = Database(database_url)
        async with opened_desk(tmp_path / str(size), database, NOON + LATER) as desk:
            await desk.append(shop_day())
            await desk.work_off(batch=size)
            found.append(await outcome(desk))
            async with database.transaction() as connection:
                for table in ("customers", "history", "decisions", "cursors", "consents", "consent_ledger"):
                    await connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - names from this list
        await database.close()
    assert found[0] == found[1] == found[2]
    verdicts = {(row.verdict, row.reason) for row in found[0][1]}
    assert verdicts >= {("sent", "ok"), ("skipped", "frequency_cap"), ("skipped", "reentry"), ("skipped", "exited")}
    assert len({row.input_id for row in found[0][0] if row.kind == "event"}) == 312


async def test_a_run_that_keeps_up_decides_as_one_that_catches_up(
    tmp_path: Path, sqlite_database: Database, calm_database: Database
) -> None:
    """Events decided as they happen, timers at their own time: the same inputs and decisions as those of a worker half a day behind."""
    events = shop_day(events=60)
    expected = await expected_of(tmp_path / "behind", calm_database, events)
    async with opened_desk(tmp_path / "live", sqlite_database, NOON - 2 * HOUR) as desk, desk.running():
        await desk.drained()
        for event in events:
            await _advance(desk, event.receivedtime - NOON)
            await desk.append([event])
            await desk.drained()
        await _advance(desk, LATER)
        assert await outcome(desk) == expected


async def _advance(desk: Desk, after_noon: timedelta) -> None:
    """Move the clock from due time to due time."""
    while due := (await desk.rows("SELECT min(next_due_at) FROM customers"))[0][0]:
        moment = NOON + timedelta(microseconds=due - int(NOON.timestamp()) * 1_000_000)
        if moment > NOON + after_noon:
            break
        desk.clock.advance_to(max(moment, desk.clock.now()))
        await desk.drained()
    desk.clock.advance_to(max(NOON + after_noon, desk.clock.now()))
    await desk.drained()


async def test_a_restart_goes_on_where_the_last_one_stopped(desk: Desk, tmp_path: Path, calm_database: Database) -> None:
    """Stopped and started again after every few batches, nothing is lost and nothing decided twice."""
    events = shop_day()
    await desk.append(events)
    stops = 0
    while (await desk.rows("SELECT coalesce(sum(next_offset), 0) FROM cursors"))[0][0] < len(events):
        async with desk.running(batch=13):
            await asyncio.sleep(0.02)
        stops += 1
    await desk.work_off()
    assert stops > 2
    assert await outcome(desk) == await expected_of(tmp_path / "calm", calm_database, events)


class Breaking(Database):
    """A database whose commits fail now and then: before they are done, or after, when nobody hears of their success."""

    def __init__(self, database: Database, seed: int) -> None:
        self._inner = database
        self._chance = random.Random(seed)
        self.dialect = database.dialect
        self.broken = 0
        self.unknown = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Run the block, and perhaps fail."""
        fate = self._chance.random()
        async with self._inner.transaction() as connection:
            yield connection
            if fate < 0.15:
                self.broken += 1
                raise DatabaseUnavailable("broken before the commit")
        if fate > 0.85:
            self.unknown += 1
            raise DatabaseUnavailable("broken after the commit")

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Read."""
        async with self._inner.reading() as connection:
            yield connection


async def test_crashes_around_the_commit_change_nothing(desk: Desk, tmp_path: Path, calm_database: Database) -> None:
    """Commits that fail before or after they were done: each event is decided once, each message published at least once, in order."""
    events = shop_day()
    await desk.append(events)
    breaking = Breaking(desk.database, seed=3)
    async with desk.running(desk.service(batch=20, database=breaking)):
        await desk.drained(60)
    assert breaking.broken > 2
    assert breaking.unknown > 2
    assert await outcome(desk) == await expected_of(tmp_path / "calm", calm_database, events)
    decided = {row[0] for row in await desk.rows("SELECT message_id FROM decisions WHERE verdict = 'sent'")}
    published = [
        command.message_id for commands in (await desk.commands()).values() for command in commands if isinstance(command, Message)
    ]
    assert set(published) == decided


async def test_a_zombie_decides_nothing(desk: Desk) -> None:
    """After another owner has taken a partition, the former one's transaction fails and it lets go."""
    service = desk.service()
    await desk.append([registered("c0")])
    async with desk.running(service):
        await desk.drained()
        async with desk.database.transaction() as connection:
            for number in range(PARTITIONS):
                await cursors.acquire(connection, TopicPartition(EVENTS, number), "another")
        before = await outcome(desk)
        await desk.append([cart(), order()])
        async with asyncio.timeout(10):
            while len(service._ownership) == PARTITIONS:  # noqa: ASYNC110 - the fence is met by the next transaction
                await asyncio.sleep(0.01)
    assert await outcome(desk) == before


async def test_outbox_rows_are_published_in_order_and_deleted(desk: Desk) -> None:
    """Every message decided is in the dispatch topic once, in the order of the decisions of its partition; the outbox is empty."""
    await desk.append(shop_day())
    await desk.work_off(batch=17)
    decided = await desk.rows("SELECT customer, message_id FROM decisions WHERE verdict = 'sent' ORDER BY customer, seq, n")
    published = {
        number: [command.message_id for command in commands if isinstance(command, Message)]
        for number, commands in (await desk.commands()).items()
    }
    for customer in {row[0] for row in decided}:
        mine = [row[1] for row in decided if row[0] == customer]
        assert [each for each in published[partition_of(customer, PARTITIONS)] if each in mine] == mine
    assert await desk.rows("SELECT count(*) FROM outbox") == [(0,)]
    assert await desk.rows("SELECT sum(outbox_seq) FROM cursors") == [(sum(map(len, (await desk.commands()).values())),)]


async def test_no_rule_set_no_consuming(tmp_path: Path, sqlite_database: Database) -> None:
    """Without an active rule set nothing is consumed and readiness says so; the first one that is applied starts the work."""
    async with opened_desk(tmp_path, sqlite_database, NOON + LATER) as desk:
        async with desk.database.transaction() as connection:
            await connection.execute(text("DELETE FROM active_ruleset"))
        await desk.append([registered("c0")])
        service = desk.service()
        async with desk.running(service):
            await asyncio.sleep(0.05)
            assert service.not_ready_because() == "no rule set is active yet: run `povod rules apply`"
            assert await desk.rows("SELECT count(*) FROM cursors") == [(0,)]
            await desk.apply()
            await desk.drained()
            assert service.not_ready_because() is None
        assert [row.input_id for row in await desk.history()] == ["rc0"]


class Mute:
    """A log that does not acknowledge for a while."""

    def __init__(self, desk: Desk) -> None:
        self._log = desk.log
        self.failures = 3

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, topic: str, records: Any) -> None:
        """Refuse a few times."""
        if self.failures:
            self.failures -= 1
            raise LogUnavailable("mute")
        await self._log.append(topic, records)


async def test_a_mute_log_delays_the_outbox_and_nothing_else(sqlite_desk: Desk) -> None:
    """While the log does not acknowledge, decisions go on and their messages wait; then they are published once."""
    desk = sqlite_desk
    await desk.append([registered("c0"), order()])
    mute = Mute(desk)
    async with desk.running(desk.service(log=mute)):
        await desk.drained()
    assert mute.failures == 0
    assert [len(commands) for commands in (await desk.commands()).values() if commands] == [1]
