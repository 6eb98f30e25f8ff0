"""Bring a database to the newest migration of `deploy/migrations` (Alembic), on SQLite and PostgreSQL alike."""

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from services.contracts.resources import resource
from services.runtime.database import Database


async def upgrade(database: Database) -> str | None:
    """Run the missing migrations in one transaction; harmless where there are none. Raises `DatabaseUnavailable`.

    Return the revision that the database was brought to, `None` where it was there already.
    """
    async with database.transaction() as connection:
        return await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> str | None:
    found = _revision(connection)
    config = Config()
    config.set_main_option("script_location", str(resource("deploy") / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    reached = _revision(connection)
    return None if reached == found else reached


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
