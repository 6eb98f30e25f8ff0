"""Files of events: CSV through a map, or NDJSON of our own event shape; plain or gzipped, read into events in order of time.

A map says which column is what; unknown keys in it are errors. A row that can't be an event is left out and reported with its line.
Nothing here knows a clock: an event of a file was received when it happened (`receivedtime = time`).
"""

import csv
import gzip
from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import msgspec
import yaml

from services.contracts.addresses import DEFAULT_REGION, with_clean_addresses
from services.contracts.codec import as_utc
from services.contracts.columns import Columns, EventMap, MappedRow, TimeColumn, TypeColumn, close_to, zone_of
from services.contracts.errors import InvalidMap, Rejected
from services.contracts.events import Event
from services.contracts.ids import CustomerId, EventId

MAX_CUSTOMER = 255
"""Characters of a customer id (`services.contracts.ids.CustomerId`)."""


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
    zone_of(event_map.time.zone, name)
    return event_map


def read_files(paths: Sequence[Path], event_map: EventMap | None = None, *, phone_region: str = DEFAULT_REGION) -> Reading:
    """Read files (CSV through the map, `.ndjson` and `.jsonl` as they are) into one list by time.

    Addresses get the form that ingest gives them; `phone_region` is the country of numbers without a code.
    Raises `InvalidMap` where a CSV has no map or lacks a column of it, `Rejected` (`code="unreadable_file"`) where a file can't be read.
    """
    events: list[Event] = []
    bad_rows: list[BadRow] = []
    for path in paths:
        try:
            with _open(path) as file:
                for row in _rows(file, path.name, event_map):
                    if isinstance(row, BadRow):
                        bad_rows.append(row)
                    else:
                        events.append(with_clean_addresses(row, phone_region))
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
    columns = Columns(event_map, next(reader, []), name)
    while True:
        try:
            if row := next(reader):
                yield _from_columns(columns.read(row), event_map.source, f"{name}:{reader.line_num}")
        except StopIteration:
            return
        except (ValueError, OverflowError, csv.Error, Rejected) as error:
            yield BadRow(name, reader.line_num, _problem(error))


def _from_columns(row: MappedRow, source: str, default_id: str) -> Event:
    _check(row.customer, row.type)
    return Event(
        id=EventId(row.id or default_id),
        type=row.type,
        source=source,
        subject=CustomerId(row.customer),
        time=row.time,
        receivedtime=row.time,
        data=row.data,
    )


def _check(customer: str, kind: str) -> None:
    if not customer or len(customer) > MAX_CUSTOMER:
        raise ValueError(f"a customer id has 1 to {MAX_CUSTOMER} characters, this one {len(customer)}")
    if not kind:
        raise ValueError("the event's type is empty")


def _problem(error: Exception) -> str:
    return "holds bytes that are no UTF-8" if isinstance(error, UnicodeError) else str(error)


def _suggestion(message: str) -> str:
    if "unknown field" not in message:
        return ""
    fields = [name for part in (EventMap, TimeColumn, TypeColumn) for name in part.__struct_fields__]
    return close_to(message.split("`")[1], fields)
