"""`povod keys`: make a write key, list them, change what one may do, give one a new secret, revoke one."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import click

from services.commands.invocation import Invocation
from services.commands.opening import link_secrets, open_database
from services.commands.tables import table
from services.contracts.durations import parse_duration
from services.contracts.errors import Rejected
from services.ingest.identity import identity_secret
from services.ingest.keys import (
    KeyInfo,
    LimitChanges,
    Limits,
    Scope,
    create_key,
    demands_signature,
    limit_key,
    list_keys,
    revoke_key,
    rotate_key,
    unknown_key,
)
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.settings import Settings


class _Grace(click.ParamType[timedelta]):
    """A duration, as everywhere."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read it, or end with a sentence and exit code 2."""
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group()
def keys() -> None:
    """Write keys: who may post events."""


@keys.command()
@click.argument("name")
@click.option("--scope", type=click.Choice(["server", "browser", "admin"]), default="server", show_default=True, help="What it is for.")
@click.option("--browser", is_flag=True, help="The same as --scope browser: a key that anybody may read; it can't name sources.")
@click.option("--rate", type=click.IntRange(min=0), default=0, help="Events a second it may post; 0: the setting ingest.rate.")
@click.option("--origin", "origins", multiple=True, help="Web pages that may post with it, https://shop.example or *; default: any.")
@click.option("--require-signature", is_flag=True, help="Browser keys: a customer's id must be signed by your server.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def create(invocation: Invocation, /, *, name: str, as_json: bool, **options: Any) -> None:
    """Make a key called NAME and print it, this once: only its hash is kept."""
    limits = Limits(options["rate"], options["origins"], options["require_signature"])
    scope: Scope = "browser" if options["browser"] else options["scope"]
    made = {"key": invocation.run(_create(invocation.settings, name, scope, limits)), "name": name}
    if limits.require_signature:
        made["identity_secret"] = _identity_secret(invocation.settings, name)
    click.echo(json.dumps(made, ensure_ascii=False) if as_json else _shown(made))


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def list_(invocation: Invocation, *, as_json: bool) -> None:
    """List all keys, revoked ones too."""
    found = invocation.run(_list(invocation.settings))
    click.echo(json.dumps({"keys": [_fields(key) for key in found]}, ensure_ascii=False) if as_json else _table(found))


@keys.command()
@click.argument("name")
@click.option("--rate", type=click.IntRange(min=0), default=None, help="Events a second it may post; 0: the setting ingest.rate.")
@click.option("--origin", "origins", multiple=True, help="Web pages that may post with it, in place of those until now.")
@click.option("--any-origin", is_flag=True, help="Pages of any origin may post with it.")
@click.option("--require-signature/--no-require-signature", default=None, help="Browser keys: must a customer's id be signed?")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def limit(invocation: Invocation, /, *, name: str, as_json: bool, **options: Any) -> None:
    """Change what the key called NAME may do; what is not named stays. Running processes follow within seconds."""
    changed = invocation.run(_limit(invocation.settings, name, _changes(options)))
    said: dict[str, Any] = {"name": name, **changed._asdict()}
    if options["require_signature"]:
        said["identity_secret"] = _identity_secret(invocation.settings, name)
    click.echo(json.dumps(said, ensure_ascii=False) if as_json else _said(changed, said))


@keys.command()
@click.argument("name")
@click.option("--grace", type=_Grace(), default="7d", show_default=True, help="How long the old one stays good; 0s: not at all.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def rotate(invocation: Invocation, *, name: str, grace: timedelta, as_json: bool) -> None:
    """Give the key called NAME a new secret and print it, this once; the old one stays good for a while."""
    key, until = invocation.run(_rotate(invocation.settings, name, grace))
    click.echo(json.dumps({"key": key, "name": name, "former_until": until.isoformat()}, ensure_ascii=False) if as_json else key)


@keys.command("identity-secret")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def identity_secret_(invocation: Invocation, *, name: str, as_json: bool) -> None:
    """Print the secret with which your server signs its customers' ids for the browser key called NAME."""
    if not invocation.run(_demands_signature(invocation.settings, name)):
        raise Rejected(f"the key {name!r} asks for no signatures; make one with --require-signature", code="no_signatures")
    secret = _identity_secret(invocation.settings, name)
    click.echo(json.dumps({"name": name, "identity_secret": secret}, ensure_ascii=False) if as_json else secret)


@keys.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def revoke(invocation: Invocation, *, name: str, as_json: bool) -> None:
    """Revoke the key called NAME; running processes follow within seconds."""
    invocation.run(_revoke(invocation.settings, name))
    click.echo(json.dumps({"name": name, "revoked": True}) if as_json else f"The key {name} is revoked.")


async def _create(settings: Settings, name: str, scope: Scope, limits: Limits) -> str:
    if limits.require_signature:
        link_secrets(settings)  # a key whose signatures nobody can make would be of no use
    async with _opened(settings) as database:
        return await create_key(database, name, scope, SystemClock().now(), limits)


def _changes(options: Mapping[str, Any]) -> LimitChanges:
    if options["origins"] and options["any_origin"]:
        raise click.UsageError("name --origin or --any-origin, not both")
    origins = () if options["any_origin"] else options["origins"] or None
    changes = LimitChanges(options["rate"], origins, options["require_signature"])
    if changes == LimitChanges():
        raise click.UsageError("name what is to change: --rate, --origin, --any-origin or --require-signature")
    return changes


async def _limit(settings: Settings, name: str, changes: LimitChanges) -> Limits:
    if changes.require_signature:
        link_secrets(settings)  # as for a new key
    async with _opened(settings) as database:
        return await limit_key(database, name, changes)


async def _list(settings: Settings) -> list[KeyInfo]:
    async with _opened(settings) as database:
        return await list_keys(database)


async def _rotate(settings: Settings, name: str, grace: timedelta) -> tuple[str, datetime]:
    now = SystemClock().now()
    async with _opened(settings) as database:
        return await rotate_key(database, name, now, grace), now + grace


async def _demands_signature(settings: Settings, name: str) -> bool:
    async with _opened(settings) as database:
        return await demands_signature(database, name)


async def _revoke(settings: Settings, name: str) -> None:
    async with _opened(settings) as database:
        if not await revoke_key(database, name, SystemClock().now()):
            raise unknown_key(name)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Database]:
    database = open_database(settings)
    try:
        yield database
    finally:
        await database.close()


def _identity_secret(settings: Settings, name: str) -> str:
    return identity_secret(link_secrets(settings)[0], name)


def _shown(made: Mapping[str, str]) -> str:
    secret = made.get("identity_secret")
    return made["key"] if secret is None else f"{made['key']}\nidentity secret, for your server only: {secret}"


def _said(limits: Limits, said: Mapping[str, str]) -> str:
    lines = [f"rate/s: {_rate(limits)}", f"origins: {_origins(limits)}", f"signed: {_signed(limits)}"]
    if "identity_secret" in said:
        lines.append(f"identity secret, for your server only: {said['identity_secret']}")
    return "\n".join(lines)


def _rate(limits: Limits) -> str:
    return str(limits.rate) if limits.rate else "as set"


def _origins(limits: Limits) -> str:
    return " ".join(limits.origins) or "any"


def _signed(limits: Limits) -> str:
    return "yes" if limits.require_signature else "no"


def _fields(key: KeyInfo) -> dict[str, Any]:
    times = {name: getattr(key, name) for name in ("created_at", "revoked_at", "rotated_at", "former_until", "last_used_at")}
    shown = {name: None if at is None else at.isoformat() for name, at in times.items()}
    return {"name": key.name, "scope": key.scope, **key.limits._asdict(), **shown}


def _table(found: Sequence[KeyInfo]) -> str:
    headings = ["name", "scope", "rate/s", "origins", "signed", "created (UTC)", "last used", "rotated", "old until", "revoked"]
    return table(headings, [_row(key) for key in found])


def _row(key: KeyInfo) -> list[str]:
    limits = key.limits
    times = (key.created_at, key.last_used_at, key.rotated_at, key.former_until, key.revoked_at)
    return [key.name, key.scope, _rate(limits), _origins(limits), _signed(limits), *map(_minute, times)]


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
