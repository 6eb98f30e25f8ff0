"""`povod rules`: the rules engine alone; `apply` makes a rule set active for all workers, `history` says who did."""

import getpass
import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from services.commands.folders import FOLDER, folders_of
from services.commands.invocation import Invocation
from services.commands.opening import open_database
from services.contracts.ids import ContentHash
from services.rules.activation import Activation
from services.rules.activation import apply as apply_rules
from services.rules.activation import history as read_history
from services.runtime.clock import SystemClock
from services.runtime.settings import Settings

_SHOWN = 12
"""Characters of a hash that tell it from others."""


@click.group(invoke_without_command=True)
@click.pass_context
def rules(context: click.Context) -> None:
    """Decide what is sent to whom, until SIGTERM; the subcommands manage the active rule set."""
    if context.invoked_subcommand is None:
        from services.commands.processes import run_rules

        invocation: Invocation = context.obj
        invocation.run(run_rules(invocation.settings))


@rules.command()
@click.argument("directory", required=False, type=FOLDER)
@click.option("--templates", type=FOLDER, help="The templates' folder.  [default: the settings', or beside DIRECTORY]")
@click.option("--by", default="", help="Who does it, for the history.  [default: the user's name]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def apply(invocation: Invocation, directory: Path | None, templates: Path | None, by: str, *, as_json: bool) -> None:
    """Store the rule set in DIRECTORY and make it active for all workers at once."""
    settings = invocation.settings
    folder, beside = folders_of(settings, directory, templates)
    applied = invocation.run(_apply(settings, folder, beside, by or getpass.getuser()))
    click.echo(json.dumps({"ruleset": applied}) if as_json else f"Active: rule set {applied[:_SHOWN]} of {folder}")


@rules.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1_000))
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def history(invocation: Invocation, limit: int, *, as_json: bool) -> None:
    """Show who made which rule set active, and when; the newest first."""
    rows = invocation.run(_history(invocation.settings, limit))
    if as_json:
        click.echo(json.dumps([{"activation": row.number, "ruleset": row.hash, "at": row.at.isoformat(), "by": row.by} for row in rows]))
    else:
        _show(rows)


async def _apply(settings: Settings, directory: Path, templates: Path, by: str) -> ContentHash:
    from services.dispatch.rendering import check_template

    database = open_database(settings)
    try:
        return await apply_rules(database, directory, templates, SystemClock().now(), by, check_template)
    finally:
        await database.close()


async def _history(settings: Settings, limit: int) -> list[Activation]:
    database = open_database(settings)
    try:
        return await read_history(database, limit)
    finally:
        await database.close()


def _show(rows: Sequence[Activation]) -> None:
    if not rows:
        click.echo("No rule set was ever made active: `povod rules apply` does it.")
        return
    table = Table("#", "rule set", "at", "by")
    for row in rows:
        table.add_row(str(row.number), row.hash[:_SHOWN], f"{row.at:%Y-%m-%d %H:%M:%S} UTC", row.by)
    Console().print(table)
