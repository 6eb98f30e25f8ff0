"""`povod demo`: a shop's weeks in a minute, through all three services, into a local inbox."""

import os
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from services.authoring.retell import retell
from services.authoring.shop import shop_events
from services.authoring.simulate import Figures
from services.commands.demo_show import CHANNELS, Arrival, Arrivals, Selection, agree, journeys_table
from services.commands.demo_stage import MAILS, Stage, clear_folder, staged
from services.commands.invocation import Invocation
from services.commands.replay import Replay
from services.contracts.events import Event
from services.contracts.ids import CustomerId
from services.contracts.resources import resource
from services.dispatch.fates import FateTally, tally_of_fates
from services.rules.ledger import Tally, history, most_telling_customer, tally
from services.rules.loader import load_directory

START = datetime(2024, 6, 10, tzinfo=UTC)
"""A Monday with some two hundred visitors a week before and behind it."""
SHOPPING = timedelta(days=14)
SILENCE = timedelta(days=16)
"""After the last event time runs on, so that whoever stays away for two weeks is missed."""
SHOWN = 3
"""Messages of each channel that are printed as they arrive."""
_LEAD = timedelta(minutes=1)


class Ended(NamedTuple):
    """What is told at the end."""

    figures: Figures
    decided: Sequence[Tally]
    delivered: Sequence[FateTally]
    customer: CustomerId | None
    arrived: tuple[int, int, int]


@click.command("demo")
@click.option("--days", type=click.IntRange(1, 60), default=SHOPPING.days, show_default=True, help="How many days of shopping to replay.")
@click.pass_obj
def demo(invocation: Invocation, *, days: int) -> None:
    """Replay real shop events through all three services on a stepped clock; see what is sent, what is not, and why."""
    folder = invocation.data or Path(".povod") / "demo"
    clear_folder(folder)
    end = START + timedelta(days=days)
    events = shop_events(resource("examples") / "shop", START, end)
    click.echo(
        f"Replaying {len(events):,} events of {len({event.subject for event in events})} customers, {START:%d %B} to {end:%d %B %Y},"
        f" and {SILENCE.days} quiet days (times are UTC).\n"
    )
    began = time.perf_counter()
    ended = invocation.run(_play(folder, events, end + SILENCE))
    click.echo(_closing(folder, ended, time.perf_counter() - began))


async def _play(folder: Path, events: Sequence[Event], until: datetime) -> Ended:
    async with staged(folder, START - _LEAD) as stage:
        with _Screen(stage, until) as screen:
            await Replay(stage.http, stage.stepper, screen.show).run(events, until)
        return await _read(stage)


async def _read(stage: Stage) -> Ended:
    settings = stage.chassis.settings.rules
    async with stage.chassis.database.reading() as connection:
        lines = [line async for line in history(connection)]
        decided = await tally(connection)
        delivered = await tally_of_fates(connection)
        customer = await most_telling_customer(connection)
    figures = retell(lines, load_directory(settings.directory, settings.templates).ruleset)
    arrived = (len(stage.inbox.mails), len(stage.gateway.messages), len(stage.telegram.messages))
    return Ended(figures, decided, delivered, customer, arrived)


class _Screen:
    """Shows how far the replay is: a bar on a terminal, and everywhere a few of the messages as they come."""

    def __init__(self, stage: Stage, until: datetime) -> None:
        console = Console(highlight=False, soft_wrap=True)
        self._arrivals, self._selection = Arrivals(stage), Selection(SHOWN)
        self._progress = Progress(
            TextColumn("{task.fields[date]}"),
            BarColumn(),
            TextColumn("{task.fields[events]:,} events"),
            console=console,
            transient=True,
            disable=not sys.stdout.isatty(),
        )
        self._console = self._progress.console
        self._bar = TaskID(0)
        self._until = until

    def __enter__(self) -> Self:
        self._progress.start()
        length = (self._until - START).total_seconds()
        self._bar = self._progress.add_task("replay", total=length, date=f"{START:%a %d %b}", events=0)
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def show(self, posted: int, now: datetime) -> None:
        """Move the bar; print what is new and worth a line."""
        self._progress.update(self._bar, completed=(now - START).total_seconds(), date=f"{now:%a %d %b %H:%M}", events=posted)
        for arrival in self._arrivals.news():
            if self._selection.wants(arrival):
                self._console.print(_line(now, arrival), markup=False)


def _line(now: datetime, arrival: Arrival) -> str:
    return f"{now:%a %d %b %H:%M}  {arrival.channel:<8}  {arrival.recipient:<22}  {arrival.words}"


def _closing(folder: Path, ended: Ended, seconds: float) -> str:
    arrived = ", ".join(f"{channel} {count:,}" for channel, count in zip(CHANNELS, ended.arrived, strict=True))
    lines = [
        "",
        journeys_table(ended.figures, ended.decided, ended.delivered),
        "",
        f"Arrived: {arrived}. {ended.figures.events:,} inputs of {ended.figures.customers:,} customers decided, in {seconds:.0f} s.",
        f"The mails lie in {folder / MAILS}{os.sep}",
    ]
    if not agree(ended.figures, ended.decided):
        lines.append("The ledger and the retold history disagree: please report this, it is a fault of Povod.")
    if ended.customer is not None:
        lines += ["", "Ask why one of them heard from us, and why not:", f"  {_program()} why {ended.customer} --data {folder}"]
    return "\n".join(lines)


def _program() -> str:
    """Return how this command was called, so that the next call can be copied: `povod`, or the path of a virtual environment's."""
    called = Path(sys.argv[0])
    if called.name != "povod" or shutil.which("povod") == str(called.absolute()):
        return "povod"
    return os.path.relpath(called)
