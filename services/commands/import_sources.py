"""Which files `povod import` reads, and how: what was asked for, as a reader of lines."""

import contextlib
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from services.contracts.aliases import Aliases, load_aliases
from services.contracts.errors import InvalidMap, Rejected
from services.contracts.mapping import parse_map
from services.ingest.files.lines import CsvLines, JsonLines, Lines, ReadLine
from services.ingest.files.shapes import read_own, reader_of
from services.runtime.clock import SystemClock

JSON_LINES = (".ndjson", ".jsonl")
_BATCH_PATHS = {"segment": "/v1/batch", "posthog": "/batch"}


class Source(NamedTuple):
    """How files are to be read: a CSV's map, the shape of JSON lines, names to translate, and whether all of it is history."""

    map_file: Path | None
    shape: str
    aliases: Sequence[str]
    historical: bool

    def named(self) -> list[str]:
        """Return what tells this way of reading from another."""
        content = "" if self.map_file is None else self.map_file.read_text(encoding="utf-8")
        return [content, self.shape, *self.aliases, str(self.historical)]

    def vocabulary(self) -> Aliases | None:
        """Return what translates foreign names into ours; None where none was asked for. Raises `Rejected` on an unknown one."""
        try:
            return load_aliases(*self.aliases) if self.aliases else None
        except FileNotFoundError as error:
            raise Rejected(f"--aliases: there is no {error.filename}", code="no_aliases") from error


@contextlib.contextmanager
def opened_lines(path: Path, source: Source) -> Iterator[tuple[Lines, Callable[[], int]]]:
    """Open a file; yields its lines, and what says how many of its bytes (as they lie on the disk) were read.

    Raises `InvalidMap` where a CSV has no map or lacks a column of it, `Rejected` (`unreadable_file`) where the file can't be read.
    """
    try:
        with path.open("rb") as file:
            unpacked = cast("BinaryIO", gzip.GzipFile(fileobj=file)) if path.name.endswith(".gz") else file
            yield _lines_of(unpacked, path.name, source), file.tell
    except (OSError, EOFError, zlib.error) as error:
        raise Rejected(f"{path}: can't be read: {error}", code="unreadable_file") from error


def _lines_of(file: BinaryIO, name: str, source: Source) -> Lines:
    if name.removesuffix(".gz").endswith(JSON_LINES):
        return JsonLines(file, _json_reader(source.shape))
    if source.map_file is None:
        raise InvalidMap(f"{name}: a CSV needs a map (--map FILE); events in JSON lines end in .ndjson", code="no_map")
    event_map = parse_map(source.map_file.read_text(encoding="utf-8"), source.map_file.name)
    # A byte that is no UTF-8 must cost its own row only, so it is let in here and found when the row is looked at.
    return CsvLines(io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline=""), event_map, name)


def _json_reader(shape: str) -> ReadLine:
    if shape not in _BATCH_PATHS:
        return read_own
    from services.ingest.doors.registry import door_at

    path = _BATCH_PATHS[shape]
    door = door_at("POST", path)
    if door is None:
        raise Rejected(f"this installation has no door for {shape}", code="no_door")
    return reader_of(door, path, SystemClock().now())
