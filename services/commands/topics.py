"""`povod topics`: create the log's topics, or compare them with the registry."""

import json
from collections.abc import Sequence

import click

from services.commands.invocation import Invocation
from services.contracts.topics import load_topics
from services.runtime.clock import SystemClock
from services.runtime.eventlog.apply import TopicState, apply_topics, check_topics, missing_topics
from services.runtime.eventlog.opening import embedded_file, open_log
from services.runtime.settings import Settings


@click.group()
def topics() -> None:
    """Create the topics, or compare them."""


@topics.command("apply")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def apply_command(invocation: Invocation, *, as_json: bool) -> None:
    """Create the missing topics; none is ever grown, shrunk or deleted. Exit 1 where a topic has another number of partitions."""
    _show(invocation.run(_apply(invocation.settings)), as_json=as_json)


@topics.command("check")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def check_command(invocation: Invocation, *, as_json: bool) -> None:
    """Compare the topics with the registry, changing nothing. Exit 1 where they differ."""
    _show(invocation.run(_check(invocation.settings)), as_json=as_json)


async def _apply(settings: Settings) -> Sequence[TopicState]:
    log = open_log(settings.log, settings.data, SystemClock())
    try:
        await log.start()
        return await apply_topics(log, load_topics())
    finally:
        await log.close()


async def _check(settings: Settings) -> Sequence[TopicState]:
    if settings.log.kind == "embedded" and not embedded_file(settings.data).exists():
        return missing_topics(load_topics())
    log = open_log(settings.log, settings.data, SystemClock(), read_only=True)
    try:
        await log.start()
        return await check_topics(log, load_topics())
    finally:
        await log.close()


def _show(states: Sequence[TopicState], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([{"topic": s.name, "wanted": s.wanted, "found": s.found, "ok": s.is_as_wanted} for s in states]))
    else:
        for state in states:
            click.echo(f"{state.name:<20} {_words(state)}")
    if not all(state.is_as_wanted for state in states):
        raise click.exceptions.Exit(1)


def _words(state: TopicState) -> str:
    if state.found is None:
        return "missing: povod topics apply"
    if state.is_as_wanted:
        return f"ok, {state.found} partitions"
    return f"has {state.found} partitions, the registry says {state.wanted}: make a new topic and forward, or change the registry"
