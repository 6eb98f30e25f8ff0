"""Owned partitions over a real database: who may let go of them, and when."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.errors import DatabaseUnavailable
from services.rules.activation import ActiveRulesets
from services.rules.cache import DocumentCache
from services.rules.ownership import Ownership
from services.rules.worker import Worker
from services.runtime.database import Database
from services.runtime.dead_letters import DeadLetterLimit
from services.runtime.eventlog.port import TopicPartition
from services.runtime.settings import RulesSettings
from services.runtime.telemetry.metrics import process_metrics
from tests.builders import NOON
from tests.rules_desk import EVENTS, PARTITIONS, Desk, opened_desk


@pytest.fixture
async def desk(tmp_path: Path, sqlite_database: Database) -> AsyncIterator[Desk]:
    """Open a desk on SQLite."""
    async with opened_desk(tmp_path, sqlite_database, NOON) as desk:
        yield desk


class _Failing(Database):
    """A database that can't be reached in one of its transactions, the `fails`th."""

    def __init__(self, database: Database, fails: int) -> None:
        self._inner = database
        self._left = fails
        self.dialect = database.dialect

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Run the block, or fail."""
        self._left -= 1
        if self._left == 0:
            raise DatabaseUnavailable("away for a moment")
        async with self._inner.transaction() as connection:
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Read."""
        async with self._inner.reading() as connection:
            yield connection


def ownership(desk: Desk, failures: list[BaseException], database: Database | None = None) -> Ownership:
    """Return an ownership that holds nothing yet."""
    metrics, settings = process_metrics(), RulesSettings()
    worker = Worker(desk.database, desk.clock, ActiveRulesets(metrics), DocumentCache())
    limit = DeadLetterLimit(settings.dead_letter_limit, settings.dead_letter_window)
    return Ownership(desk.log, database or desk.database, worker, metrics, limit=limit, name="one", on_failure=failures.append)


async def test_a_partition_may_be_let_go_of_from_two_sides(desk: Desk) -> None:
    """A batch that was fenced lets go of its partition while a rebalance takes all of them away: each is let go of once."""
    failures: list[BaseException] = []
    owned, partitions = ownership(desk, failures), [TopicPartition(EVENTS, number) for number in range(PARTITIONS)]
    await owned.take(partitions)
    await asyncio.gather(owned.let_go(partitions[:1]), owned.let_go(partitions), owned.let_go(partitions[1:3]))
    assert (owned.partitions(), failures) == ([], [])


async def test_what_is_taken_again_meanwhile_is_kept(desk: Desk) -> None:
    """Letting go takes as long as a relay needs; a partition that comes back within that time is owned, by a new owner."""
    failures: list[BaseException] = []
    owned, partition = ownership(desk, failures), TopicPartition(EVENTS, 0)
    await owned.take([partition])
    before = owned.of(partition)
    await asyncio.gather(owned.let_go([partition]), owned.take([partition]))
    after = owned.of(partition)
    assert after is not None
    assert after is not before
    assert after.cursor.epoch > (before.cursor.epoch if before else 0)
    await owned.let_go([partition])
    assert (owned.partitions(), failures) == ([], [])


async def test_all_or_nothing_is_taken(desk: Desk) -> None:
    """Where one of the partitions can't be taken, those before it are let go of: whoever has them next is their only owner."""
    failures: list[BaseException] = []
    partitions = [TopicPartition(EVENTS, number) for number in range(PARTITIONS)]
    owned = ownership(desk, failures, _Failing(desk.database, fails=3))
    with pytest.raises(DatabaseUnavailable):
        await owned.take(partitions)
    assert owned.partitions() == []
    assert await owned.take(partitions) == dict.fromkeys(partitions, 0)
    assert owned.partitions() == partitions
    await owned.let_go(partitions)
    assert failures == []
