"""`povod db`: bring the database to the newest migration."""

import json
from datetime import timedelta

import click

from services.commands.invocation import Invocation
from services.commands.opening import open_database
from services.runtime.migrate import upgrade as upgrade_database
from services.runtime.settings import Settings

MIGRATION = timedelta(hours=6)
"""How long one statement of a migration may take: an index over years of history."""


@click.group()
def db() -> None:
    """Bring the database to the newest migration."""


@db.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def upgrade(invocation: Invocation, *, as_json: bool) -> None:
    """Run the missing migrations; harmless where there are none."""
    dialect = invocation.run(_upgrade(invocation.settings))
    click.echo(json.dumps({"database": dialect, "upgraded": True}) if as_json else f"The {dialect} database is up to date.")


async def _upgrade(settings: Settings) -> str:
    database = open_database(settings, patience=MIGRATION)
    try:
        await upgrade_database(database)
    finally:
        await database.close()
    return database.dialect
