"""Laws of a cancelled transaction, on both databases: nothing half done stays, and the next one need not wait."""

import asyncio
from contextlib import suppress
from random import Random

import pytest
from sqlalchemy import text

from services.runtime.bulk import BulkStatement
from services.runtime.database import Database

CANCELLATIONS = 50
TOGETHER = 5
INSERT = BulkStatement(
    "INSERT INTO holds (scope, name, held_at, held_by) SELECT scope, name, 0, 'test' FROM {rows} WHERE true RETURNING name",
    scope="text",
    name="text",
)
"""It returns rows: a cursor cancelled over them is what kept a closed SQLite connection, and its lock, alive."""
INCOMPLETE = text("SELECT name, count(*) FROM holds GROUP BY name HAVING count(*) <> :whole")
WHOLE = text("SELECT count(DISTINCT name) FROM holds")


async def write(database: Database, name: str) -> None:
    """Write the same name under several scopes, half of them a statement, in one transaction."""
    async with database.transaction() as connection:
        for half in range(2):
            await INSERT.execute(connection, [(f"scope-{half}-{n}", name) for n in range(TOGETHER)])


async def cancel_at_random(database: Database, name: str, chance: Random) -> None:
    """Begin to write, cancel after a moment, every third time once more in the clean-up. Raises what is no cancellation."""
    task = asyncio.create_task(write(database, name))
    await asyncio.sleep(chance.random() * 0.006)
    for _ in range(chance.choice((1, 1, 2))):
        task.cancel()
        await asyncio.sleep(0)
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("seed", range(3))
async def test_a_transaction_works_within_a_second_after_any_cancellation(database: Database, seed: int) -> None:
    """Fifty transactions cancelled at random moments: each time the next one is done in a second, and no half-done rows remain."""
    chance = Random(seed)
    for number in range(CANCELLATIONS):
        await cancel_at_random(database, f"cancelled-{number}", chance)
        async with asyncio.timeout(1):
            await write(database, f"after-{number}")
    async with database.reading() as connection:
        assert (await connection.execute(INCOMPLETE, {"whole": 2 * TOGETHER})).all() == []
        assert CANCELLATIONS <= (await connection.execute(WHOLE)).scalar_one() <= 2 * CANCELLATIONS
