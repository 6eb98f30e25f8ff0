"""`povod simulate`: what a rule set would have sent over files of events."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from services.authoring.simulate import Figures
from services.authoring.simulate import simulate as run_rules
from services.commands.folders import FILE, FOLDER, folders_of, map_option
from services.commands.invocation import Invocation
from services.commands.tables import by_count, table
from services.commands.times import moment
from services.contracts.decisions import Decision
from services.contracts.events import Event
from services.contracts.mapping import Reading, parse_map, read_files
from services.rules.core.ruleset import Ruleset
from services.rules.loader import load_directory

SHOWN_BAD_ROWS = 5


class Period(NamedTuple):
    """Which events to take: from `start` on, before `end`."""

    start: datetime | None
    end: datetime | None

    def select(self, events: list[Event]) -> list[Event]:
        """Return the events inside; a missing end is open."""
        return [
            event for event in events if (self.start is None or self.start <= event.time) and (self.end is None or event.time < self.end)
        ]


@click.command("simulate")
@click.argument("events", nargs=-1, required=True, type=FILE)
@map_option
@click.option("--rules", type=FOLDER, help="The rule set's folder.  [default: the settings']")
@click.option("--templates", type=FOLDER, help="The templates' folder.  [default: the settings', or beside the rules]")
@click.option("--from", "start", callback=moment, help="Take events from this time on.")
@click.option("--to", "end", callback=moment, help="Take events before this time; timers run on to their end.")
@click.option("--assume-contactable", is_flag=True, help="Treat customers without a known address or consent as reachable and subscribed.")
@click.option(
    "--decisions",
    "decisions_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write each decision to this file, as JSON lines.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def simulate(  # noqa: PLR0913 - one argument an option
    invocation: Invocation,
    *,
    events: tuple[Path, ...],
    map_file: Path | None,
    rules: Path | None,
    templates: Path | None,
    start: datetime | None,
    end: datetime | None,
    assume_contactable: bool,
    decisions_file: Path | None,
    as_json: bool,
) -> None:
    """What the rules would have sent over EVENTS: CSV (with --map) or JSON lines, plain or gzipped."""
    ruleset = _load(*folders_of(invocation.settings, rules, templates), assume_contactable=assume_contactable)
    began = time.perf_counter()
    reading = _read(events, map_file, invocation.settings.ingest.phone_region)
    decisions: list[Decision] = []
    keep = decisions.append if decisions_file else _drop
    figures = _run(Period(start, end).select(reading.events), ruleset, keep)
    elapsed = time.perf_counter() - began
    if decisions_file:
        write_decisions(decisions_file, decisions)
    if as_json:
        click.echo(msgspec.json.encode({**msgspec.to_builtins(figures), "elapsed_s": round(elapsed, 3)}))
    else:
        click.echo(lines_of(figures, elapsed))


def _load(rules: Path, templates: Path, *, assume_contactable: bool) -> Ruleset:
    loaded = load_directory(rules, templates, lenient_templates=True, assume_contactable=assume_contactable)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    return loaded.ruleset


def _read(events: tuple[Path, ...], map_file: Path | None, phone_region: str) -> Reading:
    event_map = None if map_file is None else parse_map(map_file.read_text(encoding="utf-8"), map_file.name)
    reading = read_files(events, event_map, phone_region=phone_region)
    for bad in reading.bad_rows[:SHOWN_BAD_ROWS]:
        click.echo(f"left out: {bad}", err=True)
    if (more := len(reading.bad_rows) - SHOWN_BAD_ROWS) > 0:
        click.echo(f"left out: {more} rows more", err=True)
    return reading


def _drop(_decision: Decision) -> None:
    """Keep nothing: figures are enough."""


def _run(events: list[Event], ruleset: Ruleset, on_decision: Callable[[Decision], None]) -> Figures:
    with _progress(len(events)) as on_progress:
        return run_rules(events, ruleset, on_decision=on_decision, on_progress=on_progress)


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[int], object]]:
    """Show a bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("Simulating", total=total)
        yield lambda done: progress.update(bar, completed=done)


def write_decisions(file: Path, decisions: list[Decision]) -> None:
    """Write decisions as JSON lines in order of time."""
    encode = msgspec.json.Encoder().encode
    with file.open("wb") as output:
        for decision in sorted(decisions, key=attrgetter("at")):
            output.write(encode(decision) + b"\n")


def lines_of(figures: Figures, elapsed: float) -> str:
    """Return a table of the journeys and what was sent on which channel."""
    rows = [
        (name, f"{each.enrolled:,}", f"{each.exited:,}", f"{each.sent:,}", f"{each.deferred:,}", by_count(each.skipped))
        for name, each in figures.journeys.items()
    ]
    sent = ", ".join(f"{channel} {count:,}" for channel, count in sorted(figures.messages.items()))
    return "\n".join(
        (
            f"{figures.events:,} events of {figures.customers:,} customers, in {elapsed:.1f} s",
            "",
            table(("journey", "enrolled", "exited", "sent", "deferred", "skipped"), rows),
            "",
            f"Messages: {sent or 'none'}",
        )
    )
