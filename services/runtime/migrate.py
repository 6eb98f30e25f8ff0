"""Bring a database to the newest migration of `deploy/migrations` (Alembic), on SQLite and PostgreSQL alike."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from services.contracts.resources import resource
from services.runtime.database import Database


async def upgrade(database: Database) -> None:
    """Run the missing migrations in one transaction; harmless where there are none. Raises `DatabaseUnavailable`."""
    async with database.transaction() as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(resource("deploy") / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
