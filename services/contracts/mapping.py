"""Files of events: CSV through a map, or NDJSON of our own event shape; plain or gzipped, read into events in order of time.

A map says which column is what; unknown keys in it are errors. A row that can't be an event is left out and reported with its line.
Nothing here knows a clock: an event of a file was received when it happened (`receivedtime = time`).
"""

import csv
import gzip
import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, TextIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import yaml

from services.contracts.codec import as_utc
from services.contracts.errors import InvalidMap, Rejected
from services.contracts.events import Event
from services.contracts.ids import CustomerId, EventId

MAX_CUSTOMER = 255
"""Characters of a customer id (`services.contracts.ids.CustomerId`)."""


class TimeColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The column with the event's time: ISO 8601, or `format` as `datetime.strptime` has it; `zone` where the value names none."""

    column: str
    zone: str = "UTC"
    format: str = ""


class TypeColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The column with the event's type; `map` gives it our names, others are kept as they are."""

    column: str
    map: dict[str, str] = {}


class EventMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How rows of a CSV become events.

    `id`: the columns that identify an event (empty: file and row). `data`: the columns that become its data (None: all not used for
    customer, time and type). `numbers`: columns of the data to read as numbers; an empty one is left out. `constants`: fixed data of
    every event. `source` is half of the deduplication key, like an event's own.
    """

    customer: str
    time: TimeColumn
    type: TypeColumn
    id: tuple[str, ...] = ()
    data: tuple[str, ...] | None = None
    numbers: tuple[str, ...] = ()
    constants: dict[str, Any] = {}
    source: str = "file"


class BadRow(NamedTuple):
    """A row that is no event: where, and why."""

    file: str
    line: int
    problem: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.problem}"


class Reading(NamedTuple):
    """The events of one or more files by time (equal times keep the files' order), and the rows left out."""

    events: list[Event]
    bad_rows: list[BadRow]


class _FileEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A line of NDJSON: our event as it is posted (`customer`) or as it lies on the topic (`subject`), with what a file may leave out."""

    type: str
    time: datetime
    customer: str = ""
    subject: str = ""
    id: str = ""
    source: str = "file"
    data: dict[str, Any] = {}
    historical: bool = False


def parse_map(content: str, name: str = "map.yaml") -> EventMap:
    """Return the map written in YAML; raises `InvalidMap` naming `name`, what is wrong and what may have been meant."""
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(content, Loader=yaml.SafeLoader)):
            raise InvalidMap(f"{name}: aliases are not allowed", code="invalid_map")
        event_map = msgspec.convert(yaml.safe_load(content), EventMap)
    except yaml.YAMLError as error:
        raise InvalidMap(f"{name}: {error}", code="invalid_map") from error
    except msgspec.ValidationError as error:
        raise InvalidMap(f"{name}: {error}{_suggestion(str(error))}", code="invalid_map") from error
    _zone(event_map.time.zone, name)
    return event_map


def read_files(paths: Sequence[Path], event_map: EventMap | None = None) -> Reading:
    """Read files (CSV through the map, `.ndjson` and `.jsonl` as they are) into one list by time.

    Raises `InvalidMap` where a CSV has no map or lacks a column of it, `Rejected` (`code="unreadable_file"`) where a file can't be read.
    """
    events: list[Event] = []
    bad_rows: list[BadRow] = []
    for path in paths:
        try:
            with _open(path) as file:
                for row in _rows(file, path.name, event_map):
                    (bad_rows if isinstance(row, BadRow) else events).append(row)  # type: ignore[arg-type]
        except (OSError, EOFError) as error:
            raise Rejected(f"{path}: can't be read: {error}", code="unreadable_file") from error
    events.sort(key=attrgetter("time"))
    return Reading(events, bad_rows)


def _open(path: Path) -> TextIO:
    # A byte that is no UTF-8 must cost its own row only, so it is let in here and found when the row is looked at.
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _rows(file: TextIO, name: str, event_map: EventMap | None) -> Iterator[Event | BadRow]:
    if name.removesuffix(".gz").endswith((".ndjson", ".jsonl")):
        return _ndjson_rows(file, name)
    if event_map is None:
        raise InvalidMap(f"{name}: a CSV needs a map (--map FILE); events in JSON lines end in .ndjson", code="no_map")
    return _csv_rows(file, name, event_map)


def _ndjson_rows(file: TextIO, name: str) -> Iterator[Event | BadRow]:
    decode = msgspec.json.Decoder(_FileEvent).decode
    for line, content in enumerate(file, start=1):
        if not content.strip():
            continue
        try:
            yield _from_ndjson(decode(content), f"{name}:{line}")
        except (msgspec.MsgspecError, RecursionError, ValueError, Rejected) as error:
            yield BadRow(name, line, _problem(error))


def _from_ndjson(row: _FileEvent, default_id: str) -> Event:
    if row.time.tzinfo is None:
        raise ValueError("time has no offset; write it like 2024-03-01T10:00:00Z")
    customer = row.customer or row.subject
    _check(customer, row.type)
    time = as_utc(row.time)
    return Event(
        id=EventId(row.id or default_id),
        type=row.type,
        source=row.source,
        subject=CustomerId(customer),
        time=time,
        receivedtime=time,
        data=row.data,
        historical=row.historical,
    )


def _csv_rows(file: TextIO, name: str, event_map: EventMap) -> Iterator[Event | BadRow]:
    reader = csv.reader(file)
    header = next(reader, [])
    to_event = _CsvRow(event_map, header, name)
    while True:
        try:
            if row := next(reader):
                yield to_event(row, reader.line_num)
        except StopIteration:
            return
        except (ValueError, OverflowError, csv.Error, Rejected) as error:
            yield BadRow(name, reader.line_num, _problem(error))


class _CsvRow:
    """Turns one row of a file into an event; columns are looked up once, in the header."""

    def __init__(self, event_map: EventMap, header: list[str], name: str) -> None:
        def at(column: str) -> int:
            if column not in header:
                raise InvalidMap(f"{name}: there is no column {column!r}{_close(column, header)}", code="no_column")
            return header.index(column)

        used = {event_map.customer, event_map.time.column, event_map.type.column}
        data = [column for column in header if column not in used] if event_map.data is None else event_map.data
        self._name, self._width, self._map = name, len(header), event_map
        self._customer, self._time, self._type = at(event_map.customer), at(event_map.time.column), at(event_map.type.column)
        self._id = [at(column) for column in event_map.id]
        self._data = [(column, at(column)) for column in data]
        self._numbers = [column for column in event_map.numbers if at(column) >= 0]
        self._parse_time = _time_parser(event_map.time, name)

    def __call__(self, row: list[str], line: int) -> Event:
        if len(row) != self._width:
            raise ValueError(f"{len(row)} fields, the header has {self._width}")
        whole = "\x1f".join(row)
        if not whole.isascii():
            whole.encode()
        kind = self._map.type.map.get(row[self._type], row[self._type])
        _check(row[self._customer], kind)
        time = self._parse_time(row[self._time])
        return Event(
            id=self._event_id(row, line),
            type=kind,
            source=self._map.source,
            subject=CustomerId(row[self._customer]),
            time=time,
            receivedtime=time,
            data=self._data_of(row),
        )

    def _event_id(self, row: list[str], line: int) -> EventId:
        if not self._id:
            return EventId(f"{self._name}:{line}")
        joined = "\x1f".join([row[i] for i in self._id])
        return EventId(hashlib.blake2b(joined.encode(), digest_size=16).hexdigest())

    def _data_of(self, row: list[str]) -> dict[str, Any]:
        data: dict[str, Any] = {column: row[i] for column, i in self._data}
        for column in self._numbers:
            if (value := data.pop(column, "")) != "":
                data[column] = _number(value, column)
        return {**data, **self._map.constants} if self._map.constants else data


def _check(customer: str, kind: str) -> None:
    if not customer or len(customer) > MAX_CUSTOMER:
        raise ValueError(f"a customer id has 1 to {MAX_CUSTOMER} characters, this one {len(customer)}")
    if not kind:
        raise ValueError("the event's type is empty")


def _number(value: str, column: str) -> int | float:
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"{column}: {value!r} is no number") from None
    if number - number != 0.0:  # infinite or no number; neither has a place in JSON
        raise ValueError(f"{column}: {value!r} is no finite number")
    return int(number) if number.is_integer() else number


def _time_parser(column: TimeColumn, name: str) -> Callable[[str], datetime]:
    zone = _zone(column.zone, name)
    # UTC itself where that is the zone: replacing is several times quicker than converting, and this runs once a row.
    local = UTC if column.zone == "UTC" else zone

    def parse(value: str) -> datetime:
        moment = datetime.strptime(value, column.format) if column.format else datetime.fromisoformat(value)  # noqa: DTZ007 - zone follows
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=local)
        return moment if moment.tzinfo is UTC else as_utc(moment)

    return parse


def _zone(name: str, file: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidMap(
            f"{file}: unknown time zone {name!r}; write one of the IANA database, like Europe/Moscow", code="no_zone"
        ) from error


def _problem(error: Exception) -> str:
    return "holds bytes that are no UTF-8" if isinstance(error, UnicodeError) else str(error)


def _suggestion(message: str) -> str:
    if "unknown field" not in message:
        return ""
    fields = [name for part in (EventMap, TimeColumn, TypeColumn) for name in part.__struct_fields__]
    return _close(message.split("`")[1], fields)


def _close(word: str, known: Sequence[str]) -> str:
    found = get_close_matches(word, known, n=1)
    return f"; did you mean {found[0]!r}?" if found else f"; there are: {', '.join(dict.fromkeys(known))}"
