"""`povod pause` and `povod resume`: kill switches that hold messages and drop none."""

import getpass
import json
from collections.abc import Callable
from typing import Any, cast

import click

from services.commands.invocation import Invocation
from services.commands.opening import open_database
from services.commands.tables import table
from services.contracts.moments import from_micros
from services.dispatch import holds
from services.dispatch.holds import Hold, Scope
from services.runtime.clock import SystemClock
from services.runtime.settings import Settings

SCOPES = ("channel", "provider", "journey", "template", "all")


def _arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments that both have."""
    command = click.option("--json", "as_json", is_flag=True, help="Print the switches that are set as JSON.")(command)
    command = click.argument("name", default="")(command)
    return click.argument("scope", type=click.Choice(SCOPES))(command)


@click.command()
@_arguments
@click.pass_obj
def pause(invocation: Invocation, *, scope: str, name: str, as_json: bool) -> None:
    """Hold what SCOPE and NAME cover: no such message is sent until `povod resume`; it waits, and dies only of its own expiry."""
    switches = invocation.run(_pause(invocation.settings, *_checked(scope, name)))
    _show(switches, as_json=as_json)


@click.command()
@_arguments
@click.pass_obj
def resume(invocation: Invocation, *, scope: str, name: str, as_json: bool) -> None:
    """Let go of what `povod pause` held; what another switch holds stays held."""
    switches = invocation.run(_resume(invocation.settings, *_checked(scope, name)))
    _show(switches, as_json=as_json)


def _checked(scope: str, name: str) -> tuple[Scope, str]:
    if (scope == "all") == bool(name):
        raise click.UsageError("`all` takes no name" if name else f"which {scope}? give its name")
    return cast("Scope", scope), name


async def _pause(settings: Settings, scope: Scope, name: str) -> list[Hold]:
    database = open_database(settings)
    try:
        async with database.transaction() as connection:
            await holds.hold(connection, scope, name, SystemClock().now(), getpass.getuser())
            return await holds.active(connection)
    finally:
        await database.close()


async def _resume(settings: Settings, scope: Scope, name: str) -> list[Hold]:
    database = open_database(settings)
    try:
        async with database.transaction() as connection:
            if not await holds.release(connection, scope, name, SystemClock().now()):
                click.echo(f"{scope} {name}".strip() + " was not paused", err=True)
            return await holds.active(connection)
    finally:
        await database.close()


def _show(switches: list[Hold], *, as_json: bool) -> None:
    rows = [_row(each) for each in switches]
    if as_json:
        click.echo(json.dumps({"holds": rows}, ensure_ascii=False))
    elif rows:
        click.echo(table(["scope", "name", "since", "by"], [list(row.values()) for row in rows]))
    else:
        click.echo("Nothing is paused.")


def _row(switch: Hold) -> dict[str, str]:
    since = from_micros(switch.held_at).isoformat(timespec="seconds")
    return {"scope": switch.scope, "name": switch.name, "held_at": since, "held_by": switch.held_by}
