"""`povod import`: files of events into the log, judged as HTTP's are; goes on where a broken run ended."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from services.commands.folders import FILE, map_option
from services.commands.import_sources import Source, opened_lines
from services.commands.import_targets import Destination, opened_target
from services.commands.invocation import Invocation
from services.commands.opening import data_folder
from services.ingest.files import progress as kept
from services.ingest.files.importing import Import, Settings
from services.ingest.files.targets import Target

FOLDER = "imports"
"""Below the data folder: what was imported how far."""


class Memory(NamedTuple):
    """Where progress is kept (None: nowhere) and for what was asked; `again`: what was kept is forgotten first."""

    folder: Path | None
    asked: Sequence[str]
    again: bool

    def of(self, mark: str) -> kept.ProgressFile | None:
        """Return what is remembered of the file with this fingerprint."""
        if self.folder is None:
            return None
        found = kept.ProgressFile(self.folder, kept.key_of(mark, self.asked))
        if self.again:
            found.forget()
        return found


class Outcome(msgspec.Struct):
    """What became of one file; `events_per_s` of this run alone, `resumed_at` the rows of earlier ones."""

    file: str
    progress: kept.Progress
    resumed_at: int
    elapsed_s: float
    events_per_s: int

    def as_json(self) -> dict[str, Any]:
        """Return the printed object."""
        figures = msgspec.to_builtins(self.progress)
        for hidden in ("rejected_bytes", "done"):
            del figures[hidden]
        more = {"resumed_at": self.resumed_at, "elapsed_s": self.elapsed_s, "events_per_s": self.events_per_s}
        return {"file": self.file, **figures, **more}


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=FILE)
@map_option
@click.option("--shape", type=click.Choice(["povod", "segment", "posthog"]), default="povod", help="What a line of JSON is.")
@click.option("--aliases", multiple=True, metavar="NAME", help="Turn foreign names into ours: segment, b2b, posthog, ga4. May be repeated.")
@click.option("--historical", is_flag=True, help="Any age is allowed; what is known is brought up to date, nothing is sent.")
@click.option("--key-name", default="file", metavar="NAME", help="The source of events that name none.  [default: file]")
@click.option("--url", help="A running ingest to post to.  [default: straight into the log of the settings]")
@click.option("--key", envvar="POVOD_KEY", help="The server key for --url (or POVOD_KEY).")
@click.option("--dry-run", is_flag=True, help="Judge only: keep nothing, say what would be rejected.")
@click.option("--again", is_flag=True, help="From the beginning, whatever was imported before.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def import_events(  # noqa: PLR0913 - one argument an option
    invocation: Invocation,
    *,
    files: tuple[Path, ...],
    map_file: Path | None,
    shape: str,
    aliases: tuple[str, ...],
    historical: bool,
    key_name: str,
    url: str | None,
    key: str | None,
    dry_run: bool,
    again: bool,
    as_json: bool,
) -> None:
    """Take the events of FILES: CSV (with --map) or JSON lines, plain or gzipped. Interrupted, the same call goes on."""
    if url and not key:
        raise click.UsageError("--url needs --key (or POVOD_KEY): a server key, made with: povod keys create NAME")
    source = Source(map_file, shape, aliases, historical=historical)
    destination = Destination(key_name, url, key or "", dry_run=dry_run)
    try:
        outcomes = invocation.run(_import(invocation, files, source, destination, again=again))
    except KeyboardInterrupt as error:
        raise click.ClickException("stopped; the same call goes on where this one ended") from error
    if as_json:
        click.echo(msgspec.json.encode({"dry_run": dry_run, "files": [outcome.as_json() for outcome in outcomes]}))
    else:
        for outcome in outcomes:
            click.echo(lines_of(outcome, dry_run=dry_run))


async def _import(invocation: Invocation, files: Sequence[Path], source: Source, destination: Destination, *, again: bool) -> list[Outcome]:
    asked = [*source.named(), *destination.named(invocation.settings)]
    folder = None if destination.dry_run else data_folder(invocation.settings) / FOLDER
    async with opened_target(invocation.settings, destination) as target:
        return [await _import_file(file, source, target, Memory(folder, asked, again)) for file in files]


async def _import_file(path: Path, source: Source, target: Target, memory: Memory) -> Outcome:
    mark = kept.fingerprint(path)
    remembered = memory.of(mark)
    before = remembered.load() if remembered else kept.Progress()
    rejects = path.with_name(f"{path.name}.rejected.ndjson") if remembered else None
    began = time.perf_counter()
    with _progress(path) as show, opened_lines(path, source) as (lines, position):
        run = Import(target, remembered, rejects, lambda _rows: show(position()))
        done = await run.run(lines, Settings(mark, source.historical, source.vocabulary()))
    elapsed = time.perf_counter() - began
    return Outcome(path.name, done, before.rows, round(elapsed, 3), round((_events(done) - _events(before)) / elapsed))


@contextlib.contextmanager
def _progress(file: Path) -> Iterator[Callable[[int], object]]:
    """Show a bar on a terminal, nothing elsewhere; it follows the bytes of the file."""
    columns = (TextColumn("{task.description}"), BarColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task(file.name, total=file.stat().st_size)
        yield lambda position: progress.update(bar, completed=position)


def _events(progress: kept.Progress) -> int:
    return progress.accepted + progress.duplicates + progress.rejected


def lines_of(outcome: Outcome, *, dry_run: bool) -> str:
    """Return what people read of one file: the figures, then each reason with its first example."""
    found = outcome.progress
    if outcome.resumed_at and outcome.resumed_at == found.rows:
        return f"{outcome.file}: imported before ({found.rows:,} rows); nothing to do (--again begins anew)"
    would = "would be " if dry_run else ""
    head = (
        f"{outcome.file}: {found.rows:,} rows: {found.accepted:,} {would}accepted, {found.duplicates:,} doubled in the file, "
        f"{found.rejected:,} {would}rejected ({outcome.elapsed_s:.1f} s, {outcome.events_per_s:,} events/s)"
    )
    return "\n".join([head, *_notes(outcome, dry_run=dry_run)])


def _notes(outcome: Outcome, *, dry_run: bool) -> list[str]:
    found = outcome.progress
    notes = [
        f"  {code}: {each.count:,}, the first at {outcome.file}:{each.line}:{each.column}: {each.message}"
        for code, each in sorted(found.codes.items(), key=lambda item: -item[1].count)
    ]
    notes += [
        f"  {each.message}: {each.count:,} times, the first at {outcome.file}:{each.line}"
        for each in sorted(found.left_out.values(), key=lambda each: -each.count)
    ]
    if found.clamped:
        notes.append(f"  {found.clamped:,} times lay before the last 30 days or ahead of now, and are moved; --historical keeps old ones")
    if outcome.resumed_at:
        notes.append(f"  went on after row {outcome.resumed_at:,}; the figures are of all runs")
    if found.rejected and not dry_run:
        notes.append(f"  rejected rows are in {outcome.file}.rejected.ndjson")
    return notes
