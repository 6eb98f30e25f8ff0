"""One file into one target.

The order, which makes a break harmless:

1. a batch of rows is read, each event with an id (its own, or made of the file's fingerprint and its line)
2. the target takes them: what is accepted is durable now
3. rejects are written beside
4. the position is kept; a break before this repeats the batch, with the same ids
"""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from services.contracts.aliases import Aliases
from services.contracts.errors import Rejected
from services.contracts.incoming import Incoming, Item
from services.ingest.files.lines import Line, Lines
from services.ingest.files.progress import Progress, ProgressFile, Rejection
from services.ingest.files.targets import Target
from services.ingest.judge import Result

ROWS_AT_ONCE = 1_000


class Settings(NamedTuple):
    """How a file's items are completed: `fingerprint` stands in ids made here, `historical` marks all, `aliases` translates names."""

    fingerprint: str
    historical: bool = False
    aliases: Aliases | None = None


class Import:
    """Takes a file to its end; `on_rows` is called after each batch."""

    def __init__(self, target: Target, kept: ProgressFile | None, rejects: Path | None, on_rows: Callable[[int], object]) -> None:
        """Nothing is kept where `kept` is None, and no reject is written where `rejects` is (a dry run)."""
        self._target = target
        self._kept = kept
        self._rejects = rejects
        self._on_rows = on_rows

    async def run(self, lines: Lines, settings: Settings) -> Progress:
        """Go on where the last run ended; raises what the target does, with everything before safe."""
        progress = self._kept.load() if self._kept else Progress()
        if progress.done:
            return progress
        self._trim_rejects(progress)
        rows = iter(lines)
        self._on_rows(sum(1 for _ in islice(rows, progress.rows)))
        while not progress.done:
            batch = list(islice(rows, ROWS_AT_ONCE))
            await self._take(batch, lines, settings, progress)
            progress.done = not batch
            if self._kept:
                self._kept.save(progress)
            self._on_rows(len(batch))
        return progress

    async def _take(self, batch: Sequence[Line], lines: Lines, settings: Settings, progress: Progress) -> None:
        placed = [(line, item) for line in batch for item in _completed(line, settings)]
        results = await self._target.take([item for _, item in placed]) if placed else ()
        rejects = b"".join(self._count(line, result, lines, progress) for (line, _), result in zip(placed, results, strict=True))
        progress.rows += len(batch)
        if rejects and self._rejects:
            _write(self._rejects, rejects)
            progress.rejected_bytes += len(rejects)

    def _count(self, line: Line, result: Result, lines: Lines, progress: Progress) -> bytes:
        """Add one result; return what the file of rejects says of it."""
        if result.status == "accepted":
            progress.accepted += 1
            progress.clamped += result.clamped
            for warning in result.warnings:
                progress.left_out.setdefault(warning, Rejection(0, line.number, 1, warning)).count += 1
            return b""
        if result.status == "duplicate_in_request":
            progress.duplicates += 1
            return b""
        progress.rejected += 1
        column, message = lines.column_of(line, result.pointer or ""), result.message or ""
        first = progress.codes.setdefault(result.code or "", Rejection(0, line.number, column, message))
        first.count += 1
        said = {"line": line.number, "column": column, "code": result.code, "message": message, "original": line.original}
        return json.dumps(said, default=str).encode() + b"\n"

    def _trim_rejects(self, progress: Progress) -> None:
        """Cut off what a broken run wrote after its position was kept; begin anew where somebody has taken the file away since."""
        if self._rejects is None or not self._rejects.exists():
            progress.rejected_bytes = 0
            return
        with self._rejects.open("ab") as file:
            progress.rejected_bytes = min(progress.rejected_bytes, file.tell())
            file.truncate(progress.rejected_bytes)


def _write(path: Path, content: bytes) -> None:
    try:
        with path.open("ab") as file:
            file.write(content)
    except OSError as error:
        raise Rejected(f"{path}: rejected rows can't be written there: {error}", code="unwritable_file") from error


def _completed(line: Line, settings: Settings) -> Iterator[Item]:
    for number, item in enumerate(line.items):
        own_id = f"{settings.fingerprint}:{line.number}" + (f":{number}" if number else "")
        if isinstance(item, Incoming):
            yield _complete_event(item, own_id, settings)
        elif isinstance(item, dict):
            yield _complete_object(item, own_id, settings)
        else:
            yield item


def _complete_event(event: Incoming, own_id: str, settings: Settings) -> Incoming:
    if _is_blank(event.id):
        event.id = own_id
    event.sent_at = None  # a client's clock can be corrected only where its request is received
    event.historical = event.historical or settings.historical or None
    if settings.aliases:
        event.type, event.data = settings.aliases.translate(event.type, event.data)
    return event


def _complete_object(event: dict[str, Any], own_id: str, settings: Settings) -> dict[str, Any]:
    added: dict[str, Any] = {"sent_at": None}
    if _is_blank(event.get("id")):
        added["id"] = own_id
    if settings.historical:
        added["historical"] = True
    if settings.aliases and isinstance(event.get("type"), str):
        added["type"], added["data"] = settings.aliases.translate(event["type"], event.get("data"))
    return {**event, **added}


def _is_blank(given: Any) -> bool:
    return given is None or (isinstance(given, str) and not given.strip())
