"""`povod status`: lag and health in one screen."""

from collections.abc import Iterator, Mapping

import click
import msgspec

from services.commands.invocation import Invocation
from services.commands.opening import open_database
from services.commands.status_report import Reach, Report, State, gather
from services.commands.tables import table
from services.runtime.clock import SystemClock
from services.runtime.eventlog.opening import open_log
from services.runtime.settings import Settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def status(invocation: Invocation, *, as_json: bool) -> None:
    """Show whether log and database answer, what waits, and which rule set decides. Exit 1 where one of the two does not answer."""
    report = invocation.run(_look(invocation.settings))
    click.echo(msgspec.json.encode(report).decode() if as_json else "\n".join(screen(report)))
    if not report.is_well:
        raise click.exceptions.Exit(1)


async def _look(settings: Settings) -> Report:
    clock = SystemClock()
    database = open_database(settings)
    log = open_log(settings.log, settings.data, clock, read_only=True)
    try:
        return await gather(log, settings.log.kind, database, clock.now())
    finally:
        await log.close()
        await database.close()


def screen(report: Report) -> Iterator[str]:
    """Give the lines for people."""
    yield f"Log       {_reach(report.log)}"
    yield f"Database  {_reach(report.database)}"
    if report.state is not None:
        yield from _state_lines(report.state)
    if report.rejected is not None:
        yield f"Rejected  {f'{report.rejected:,} events, shown by povod tail rejected' if report.rejected else 'none'}"
    if report.partitions:
        rows = [
            (lag.topic, str(lag.partition), f"{lag.lag:,}", f"{lag.next_offset:,}", f"{lag.end:,}", lag.owner or "nobody yet")
            for lag in report.partitions
        ]
        yield "\n" + table(("topic", "partition", "lag", "next", "end", "owner"), rows)


def _reach(reach: Reach) -> str:
    return f"{reach.kind}, answers" if reach.reachable else f"{reach.kind}, DOES NOT ANSWER: {reach.error}"


def _state_lines(state: State) -> Iterator[str]:
    ruleset = state.ruleset
    yield f"Rule set  {f'{ruleset.hash[:12]} since {ruleset.activated_at:%Y-%m-%d %H:%M} UTC' if ruleset else 'none: povod rules apply'}"
    yield f"Waiting   {_counts(state.waiting)}"
    oldest = state.timers.oldest_at
    yield f"Timers    {state.timers.due:,} due{f', the first since {oldest:%Y-%m-%d %H:%M} UTC' if oldest else ''}"
    yield f"Messages  {_counts(state.deliveries)}"
    yield f"Held      {', '.join(state.holds) or 'nothing'}"
    dead = {f"{each.topic} {each.reason}": each.count for each in state.dead_letters}
    yield f"Dead      {_counts(dead)}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"
