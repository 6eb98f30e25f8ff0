"""`povod keys`: make a write key, list them, revoke one."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import click

from services.commands.invocation import Invocation
from services.commands.opening import open_database
from services.commands.tables import table
from services.contracts.errors import Rejected
from services.ingest.keys import KeyInfo, Scope, create_key, list_keys, revoke_key
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.settings import Settings


@click.group()
def keys() -> None:
    """Write keys: who may post events."""


@keys.command()
@click.argument("name")
@click.option("--browser", is_flag=True, help="A key that may be public: it can't name sources or post historical events.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def create(invocation: Invocation, *, name: str, browser: bool, as_json: bool) -> None:
    """Make a key called NAME and print it, this once: only its hash is kept."""
    key = invocation.run(_create(invocation.settings, name, "browser" if browser else "server"))
    click.echo(json.dumps({"key": key, "name": name}) if as_json else key)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def list_(invocation: Invocation, *, as_json: bool) -> None:
    """List all keys, revoked ones too."""
    found = invocation.run(_list(invocation.settings))
    click.echo(json.dumps({"keys": [_fields(key) for key in found]}, ensure_ascii=False) if as_json else _table(found))


@keys.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def revoke(invocation: Invocation, *, name: str, as_json: bool) -> None:
    """Revoke the key called NAME; running processes follow within seconds."""
    invocation.run(_revoke(invocation.settings, name))
    click.echo(json.dumps({"name": name, "revoked": True}) if as_json else f"The key {name} is revoked.")


async def _create(settings: Settings, name: str, scope: Scope) -> str:
    async with _opened(settings) as database:
        return await create_key(database, name, scope, SystemClock().now())


async def _list(settings: Settings) -> list[KeyInfo]:
    async with _opened(settings) as database:
        return await list_keys(database)


async def _revoke(settings: Settings, name: str) -> None:
    async with _opened(settings) as database:
        if not await revoke_key(database, name, SystemClock().now()):
            raise Rejected(f"there is no good key named {name!r}; look at: povod keys list", code="unknown_key")


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Database]:
    database = open_database(settings)
    try:
        yield database
    finally:
        await database.close()


def _fields(key: KeyInfo) -> dict[str, str | None]:
    revoked_at = None if key.revoked_at is None else key.revoked_at.isoformat()
    return {"name": key.name, "scope": key.scope, "created_at": key.created_at.isoformat(), "revoked_at": revoked_at}


def _table(found: Sequence[KeyInfo]) -> str:
    rows = [[key.name, key.scope, _minute(key.created_at), _minute(key.revoked_at)] for key in found]
    return table(["name", "scope", "created (UTC)", "revoked (UTC)"], rows)


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
