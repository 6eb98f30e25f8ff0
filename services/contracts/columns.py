"""How rows of a table become events: which column is the customer, the time, the type, and what of the rest is data. Pure."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, NamedTuple, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from services.contracts.codec import as_utc
from services.contracts.errors import InvalidEvent, InvalidMap

_EXACT = 2.0**53
"""Whole numbers from here on are not exact as floats, and soon too long for 64 bits."""
_SHOWN = 100
"""Characters of a wrong value that a message repeats."""
_SEPARATOR = "\x1f"
"""Between the values of a row where they are looked at as one text."""


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


class MappedRow(NamedTuple):
    """What a row says of one event; `id` is empty where the map names no columns for it. `time` is aware UTC."""

    type: str
    customer: str
    id: str
    time: datetime
    data: dict[str, Any]


class Columns:
    """Turns rows under one header into events; columns are looked up once, in the header."""

    def __init__(self, event_map: EventMap, header: Sequence[str], name: str) -> None:
        """`name` is the file's, for complaints. Raises `InvalidMap` where the header lacks a column of the map."""

        def at(column: str) -> int:
            if column not in header:
                raise InvalidMap(f"{name}: there is no column {column!r}{close_to(column, header)}", code="no_column")
            return header.index(column)

        used = {event_map.customer, event_map.time.column, event_map.type.column}
        data = [column for column in header if column not in used] if event_map.data is None else event_map.data
        self._width, self._types = len(header), event_map.type.map
        self._customer, self._time, self._type = at(event_map.customer), at(event_map.time.column), at(event_map.type.column)
        self._id = [at(column) for column in event_map.id]
        self._data = [(column, at(column)) for column in data]
        self._numbers = [column for column in event_map.numbers if at(column) >= 0]
        self._constants = event_map.constants
        self._parse_time = _time_parser(event_map.time, name)

    def read(self, row: Sequence[str]) -> MappedRow:
        """Return what a row says; raises `InvalidEvent` (`invalid_row`, `not_utf8`, `invalid_time`, `invalid_number`)."""
        if len(row) != self._width:
            _refuse(f"{len(row)} fields, the header has {self._width}", "invalid_row", "")
        whole = _SEPARATOR.join(row)
        if not whole.isascii():
            _check_text(whole)
        kind = row[self._type]
        return MappedRow(
            type=self._types.get(kind, kind),
            customer=row[self._customer],
            id=self._id_of(row) if self._id else "",
            time=self._parse_time(row[self._time]),
            data=self._data_of(row),
        )

    def place_of(self, pointer: str) -> int:
        """Return the column (from 1) that an event's field (a JSON pointer) comes from; 1 where it is none or the whole row."""
        parts = pointer.split("/")[1:]
        known = {"customer": self._customer, "time": self._time, "type": self._type, "id": self._id[0] if self._id else 0}
        if parts[:1] == ["data"] and len(parts) > 1:
            return 1 + dict(self._data).get(parts[1], 0)
        return 1 + known.get(parts[0] if parts else "", 0)

    def _id_of(self, row: Sequence[str]) -> str:
        joined = _SEPARATOR.join([row[i] for i in self._id])
        return hashlib.blake2b(joined.encode(), digest_size=16).hexdigest()

    def _data_of(self, row: Sequence[str]) -> dict[str, Any]:
        data: dict[str, Any] = {column: row[i] for column, i in self._data}
        for column in self._numbers:
            if (value := data.pop(column, "")) != "":
                data[column] = _number(value, column)
        return {**data, **self._constants} if self._constants else data


def zone_of(name: str, file: str) -> ZoneInfo:
    """Return a time zone of the IANA database; raises `InvalidMap` naming the file."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidMap(
            f"{file}: unknown time zone {name!r}; write one of the IANA database, like Europe/Moscow", code="no_zone"
        ) from error


def close_to(word: str, known: Sequence[str]) -> str:
    """Return what may have been meant, or what there is, as the end of a complaint."""
    found = get_close_matches(word, known, n=1)
    return f"; did you mean {found[0]!r}?" if found else f"; there are: {', '.join(dict.fromkeys(known))}"


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        _refuse("holds bytes that are no UTF-8", "not_utf8", "")


def _number(value: str, column: str) -> int | float:
    try:
        number = float(value)
    except ValueError:
        _refuse(f"{column}: {value!r} is no number", "invalid_number", f"/data/{column}")
    if number - number != 0.0:  # infinite or no number; neither has a place in JSON
        _refuse(f"{column}: {value!r} is no finite number", "invalid_number", f"/data/{column}")
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def _time_parser(column: TimeColumn, name: str) -> Callable[[str], datetime]:
    zone = zone_of(column.zone, name)
    # UTC itself where that is the zone: replacing is several times quicker than converting, and this runs once a row.
    local = UTC if column.zone == "UTC" else zone

    def parse(value: str) -> datetime:
        try:
            moment = datetime.strptime(value, column.format) if column.format else datetime.fromisoformat(value)  # noqa: DTZ007 - zone follows
        except (ValueError, OverflowError) as error:
            raise InvalidEvent(_no_time(value, column), code="invalid_time", pointer="/time") from error
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=local)
        return moment if moment.tzinfo is UTC else as_utc(moment)

    return parse


def _no_time(value: str, column: TimeColumn) -> str:
    wanted = f"time of the form {column.format}" if column.format else "ISO 8601 time; name the column's form in the map (format:)"
    return f"{column.column}: {value[:_SHOWN]!r} is no {wanted}"


def _refuse(message: str, code: str, pointer: str) -> NoReturn:
    raise InvalidEvent(message, code=code, pointer=pointer)
