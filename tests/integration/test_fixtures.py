"""The shared fixtures keep their promises."""

from sqlalchemy import text

from services.runtime.database import Database


async def test_database_is_migrated_and_empty(database: Database) -> None:
    """A test gets a database with all tables and no rows."""
    async with database.reading() as connection:
        rows = (await connection.execute(text("SELECT count(*) FROM cursors"))).scalar_one()
    assert rows == 0


async def test_database_is_its_own(database: Database) -> None:
    """What a test writes is gone for the next one, and writing works."""
    async with database.transaction() as connection:
        await connection.execute(
            text(
                "INSERT INTO cursors (topic, partition, epoch, owner, next_offset, outbox_seq, frontier_at)"
                " VALUES ('t', 0, 1, 'me', 0, 0, 0)"
            )
        )
    async with database.reading() as connection:
        rows = (await connection.execute(text("SELECT count(*) FROM cursors"))).scalar_one()
    assert rows == 1
