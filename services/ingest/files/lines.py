"""Rows of a file, one at a time: memory holds a line, whatever the file's size. Their items are as a request's would be."""

import csv
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from json import JSONDecodeError
from typing import IO, Any, AnyStr, BinaryIO, Generic, NamedTuple, Protocol, TextIO

from services.contracts.columns import Columns, EventMap
from services.contracts.errors import InvalidEvent, InvalidMap
from services.contracts.incoming import MAX_KEY, Incoming, Item, Unreadable

NUL_CHARACTER = "\x00"
LONGEST_LINE = 1_000_000
"""Characters (bytes of JSON lines); a longer line is rejected without being held."""
ReadLine = Callable[[bytes], Sequence[Item]]
"""How a line of JSON becomes items; raises `InvalidEvent` where it is none."""


class Line(NamedTuple):
    """One row: the number of its last line (from 1), its items (as a rule one), and what stood there."""

    number: int
    items: Sequence[Item]
    original: Any


class Lines(Protocol):
    """A file's rows in order; a row that can't be read has one item, an `Unreadable`."""

    def __iter__(self) -> Iterator[Line]:
        """Read on; once only."""

    def column_of(self, line: Line, pointer: str) -> int:
        """Return where in its line (from 1) a field (a JSON pointer into the event) stands; 1 where that can't be said."""


class BoundedLines(Generic[AnyStr]):
    """A file's lines and the number of the last; a line over the bound raises `InvalidEvent` (`line_too_long`), the next one follows."""

    def __init__(self, file: IO[AnyStr]) -> None:
        self._file: IO[AnyStr] = file
        self.number = 0

    def __iter__(self) -> "BoundedLines[AnyStr]":
        return self

    def __next__(self) -> AnyStr:
        line = self._file.readline(LONGEST_LINE)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == LONGEST_LINE:
            self._pass_over(line)
        return line

    def _pass_over(self, line: AnyStr) -> None:
        while line and not _is_ended(line):
            line = self._file.readline(LONGEST_LINE)
        raise InvalidEvent(f"a line has at most {LONGEST_LINE:,} characters", code="line_too_long", pointer="")


class ReturnedLines:
    """A file's lines for a reader of rows that may have taken too many: those behind a row's first one can be given back."""

    def __init__(self, lines: BoundedLines[str]) -> None:
        self._lines = lines
        self._returned: deque[str | InvalidEvent] = deque()
        self._taken: list[str | InvalidEvent] = []
        self.number = 0

    def __iter__(self) -> "ReturnedLines":
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else self._read()
        self.number += 1
        self._taken.append(line)
        if isinstance(line, InvalidEvent):
            raise line
        return line

    def begin_row(self) -> None:
        """Take what comes as another row's."""
        self._taken = []

    def end_row_early(self) -> tuple[str | InvalidEvent, int]:
        """Return the row's first line, or why that can't be read, and how many lines behind it were given back."""
        first, *rest = self._taken
        self._returned.extendleft(reversed(rest))
        self.number -= len(rest)
        self._taken = [first]
        return first, len(rest)

    def _read(self) -> str | InvalidEvent:
        try:
            return next(self._lines)
        except InvalidEvent as error:
            return error


class CsvLines:
    """Rows of a CSV under its header, through a map. Raises `InvalidMap` at once where they do not fit.

    A row that can't be read costs one line: a quote that nobody closes would else swallow the rows behind it, as text of its own.
    """

    def __init__(self, file: TextIO, event_map: EventMap, name: str) -> None:
        self._lines = ReturnedLines(BoundedLines(file))
        self._reader = csv.reader(self._lines, strict=True)
        self._header = self._read_header(name)
        self._columns = Columns(event_map, self._header, name)
        self._has_clean_names = all(len(column) <= MAX_KEY and NUL_CHARACTER not in column for column in self._header)
        self._source = None if event_map.source == EventMap.__struct_defaults__[-1] else event_map.source

    def __iter__(self) -> Iterator[Line]:
        """Read on; empty rows are none."""
        while True:
            self._lines.begin_row()
            try:
                if row := next(self._reader):
                    yield Line(self._lines.number, [self._item(row)], row)
            except StopIteration:
                return
            except (csv.Error, InvalidEvent) as error:
                yield self._broken(error)

    def _read_header(self, name: str) -> list[str]:
        try:
            return next(self._reader, [])
        except (csv.Error, InvalidEvent) as error:
            raise InvalidMap(f"{name}: the line with the columns' names can't be read: {error}", code="no_header") from error

    def _broken(self, error: csv.Error | InvalidEvent) -> Line:
        first, behind = self._lines.end_row_early()
        if isinstance(first, InvalidEvent):
            return _unreadable(self._lines.number, first, "")
        why = f"a quote is opened and not closed ({error})" if behind else str(error)
        return _unreadable(self._lines.number, InvalidEvent(why, code="invalid_row", pointer=""), _shown(first.rstrip("\r\n")))

    def column_of(self, line: Line, pointer: str) -> int:  # noqa: ARG002 - a column is one in every line
        """Return the number of the column that the field comes from."""
        return self._columns.place_of(pointer)

    def _item(self, row: list[str]) -> Item:
        try:
            read = self._columns.read(row)
        except InvalidEvent as error:
            return Unreadable(error, _named(self._header, row))
        if self._has_clean_names and NUL_CHARACTER not in "".join(row):
            return Incoming(type=read.type, customer=read.customer, id=read.id, time=read.time, data=read.data, source=self._source)
        return {**read._asdict(), "time": read.time.isoformat(), "source": self._source}  # the way that cleans


class JsonLines:
    """Lines of JSON; `read` makes items of one."""

    def __init__(self, file: BinaryIO, read: ReadLine) -> None:
        self._lines: BoundedLines[bytes] = BoundedLines(file)
        self._read = read

    def __iter__(self) -> Iterator[Line]:
        """Read on; blank lines are none."""
        while True:
            try:
                line = next(self._lines)
            except StopIteration:
                return
            except InvalidEvent as error:
                yield _unreadable(self._lines.number, error, "")
                continue
            if line.strip():
                yield self._line(line.rstrip(b"\r\n"))

    def column_of(self, line: Line, pointer: str) -> int:
        """Return where the field's name stands, or where the JSON breaks."""
        (item, *_) = line.items
        cause = item.error.__cause__ if isinstance(item, Unreadable) else None
        if isinstance(cause, JSONDecodeError):
            return cause.colno
        name = pointer.rpartition("/")[2]
        return 1 + max(str(line.original).find(f'"{name}"'), 0) if name else 1

    def _line(self, line: bytes) -> Line:
        shown = line.decode("utf-8", "replace")
        try:
            return Line(self._lines.number, self._read(line), shown)
        except InvalidEvent as error:
            return _unreadable(self._lines.number, error, shown)


def _named(header: Sequence[str], row: Sequence[str]) -> Any:
    """Return a row by the names of its columns, or as it is where they do not fit; bytes that are no text become U+FFFD."""
    shown = [_shown(value) for value in row]
    return dict(zip(header, shown, strict=True)) if len(header) == len(row) else shown


def _shown(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _unreadable(number: int, error: InvalidEvent, original: Any) -> Line:
    return Line(number, [Unreadable(error, original)], original)


def _is_ended(line: AnyStr) -> bool:
    return line[-1:] in {"\n", "\r", b"\n"}
