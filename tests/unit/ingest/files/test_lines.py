"""Rows of a file one at a time: what becomes an item, what can't be read and where, and how much is held."""

import io
from collections.abc import Iterator
from typing import Any

import pytest

from services.contracts.columns import EventMap
from services.contracts.errors import InvalidMap
from services.contracts.incoming import Incoming, Unreadable
from services.contracts.mapping import parse_map
from services.ingest.files import lines as lines_module
from services.ingest.files.lines import CsvLines, JsonLines, Line, Lines
from services.ingest.files.shapes import read_own

MAP = """
customer: user
time: {column: at, zone: Europe/Moscow}
type: {column: what, map: {buy: order.completed}}
numbers: [total]
"""


def csv_lines(content: str | bytes, event_map: EventMap | None = None) -> CsvLines:
    """Return the lines of a CSV with the columns user, at, what, total."""
    raw = content.encode() if isinstance(content, str) else content
    file = io.TextIOWrapper(io.BytesIO(b"user,at,what,total\n" + raw), encoding="utf-8-sig", errors="surrogateescape", newline="")
    return CsvLines(file, event_map or parse_map(MAP), "shop.csv")


def json_lines(content: bytes) -> JsonLines:
    """Return the lines of a file in our own shape."""
    return JsonLines(io.BytesIO(content), read_own)


def problems(lines: Lines) -> list[tuple[int, int, str]]:
    """Return line, column and code of each row that can't be read."""
    return list(_problems(lines))


def _problems(lines: Lines) -> Iterator[tuple[int, int, str]]:
    for line in lines:
        for item in line.items:
            if isinstance(item, Unreadable):
                yield line.number, lines.column_of(line, item.error.pointer or ""), item.error.code


def test_a_csv_row_is_an_event_as_it_would_be_posted() -> None:
    """The map's type, the time in the map's zone, numbers as numbers; no id, no source: those come later."""
    (line,) = csv_lines("ann,2026-03-01 12:00:00,buy,500\n")
    (item,) = line.items
    assert isinstance(item, Incoming)
    assert (item.type, item.customer, item.data, item.id, item.source) == ("order.completed", "ann", {"total": 500}, "", None)
    assert str(item.time) == "2026-03-01 09:00:00+00:00"
    assert line.number == 2


def test_a_map_may_name_the_source() -> None:
    """A source other than the default goes with each event."""
    (line,) = csv_lines("ann,2026-03-01,buy,\n", parse_map(f"{MAP}source: till\n"))
    (item,) = line.items
    assert isinstance(item, Incoming)
    assert item.source == "till"


def test_rows_that_cannot_be_read_say_where() -> None:
    """Line of the file and column of the table; the rows beside them are read."""
    content = b"ann,2026-03-01,buy,1\nann,soon,buy,1\nann,2026-03-01,buy,x\nann,2026\n\xff,2026-03-01,buy,1\nbob,2026-03-01,buy,2\n"
    lines = csv_lines(content)
    assert problems(lines) == [(3, 2, "invalid_time"), (4, 4, "invalid_number"), (5, 1, "invalid_row"), (6, 1, "not_utf8")]


def test_a_quoted_line_break_counts() -> None:
    """A row of two lines is named by its last, and the next by the line after it."""
    lines = csv_lines('"a\nb",2026-03-01,buy,1\nann,soon,buy,1\n')
    assert [line.number for line in lines] == [3, 4]


def test_a_csv_without_a_column_of_its_map_is_refused_at_once() -> None:
    """A wrong map is no row's fault."""
    with pytest.raises(InvalidMap, match="did you mean 'user'"):
        csv_lines("", parse_map(MAP.replace("customer: user", "customer: usr")))


def test_what_no_event_may_hold_takes_the_way_that_cleans() -> None:
    """A NUL in a row is for the normaliser to take out, and numbers stay such as any reader can hold."""
    (line,) = csv_lines("ann,2026-03-01,b\x00uy,1e300\n")
    (item,) = line.items
    assert isinstance(item, dict)
    assert (item["type"], item["data"], item["time"]) == ("b\x00uy", {"total": 1e300}, "2026-02-28T21:00:00+00:00")
    assert isinstance(item["data"]["total"], float)


def test_an_overlong_line_costs_itself_only() -> None:
    """A line over the bound is rejected unread, in both kinds of files; the next one is read."""
    long = b"x" * (2 * lines_module.LONGEST_LINE + 5)
    assert problems(csv_lines(long + b"\nann,soon,buy,1\n")) == [(2, 1, "line_too_long"), (3, 2, "invalid_time")]
    assert problems(json_lines(long + b"\n{\n")) == [(1, 1, "line_too_long"), (2, 2, "invalid_json")]


@pytest.mark.parametrize("behind", [1, 3_000, 10_000])
def test_an_open_quote_costs_its_own_line(behind: int) -> None:
    """A quote that is never closed takes none of the rows behind it along, few or many; its line is kept as it stood there."""
    opened = b'ann,2026-03-01,buy,"1\n'
    lines = list(csv_lines(opened + b"bob,2026-03-01,buy,1\n" * behind))
    (item,) = lines[0].items
    assert isinstance(item, Unreadable)
    assert (item.error.code, item.original, lines[0].number) == ("invalid_row", 'ann,2026-03-01,buy,"1', 2)
    assert "not closed" in item.error.message
    assert [line.number for line in lines[1:]] == list(range(3, 3 + behind))
    assert all(isinstance(item, Incoming) for line in lines[1:] for item in line.items)


def test_an_open_quote_before_what_else_is_wrong() -> None:
    """Two open quotes make no row of what is between them; an overlong line behind one is named as itself."""
    opened, good = b'ann,2026-03-01,buy,"1\n', b"bob,2026-03-01,buy,1\n"
    assert problems(csv_lines(opened + opened + good)) == [(2, 1, "invalid_row"), (3, 1, "invalid_row")]
    overlong = b"x" * (lines_module.LONGEST_LINE + 5) + b"\n"
    lines = list(csv_lines(opened + good + overlong + good))
    found = [item.error.code if isinstance(item, Unreadable) else item.customer for line in lines for item in line.items]
    assert found == ["invalid_row", "bob", "line_too_long", "bob"]
    assert [line.number for line in lines] == [2, 3, 4, 5]


def test_names_of_columns_that_cannot_be_read() -> None:
    """A header with an open quote is no row's fault."""
    file = io.StringIO('user,at,"what,total\n' + "ann,2026-03-01,buy,1\n" * 10_000)
    with pytest.raises(InvalidMap, match="the line with the columns' names can't be read"):
        CsvLines(file, parse_map(MAP), "shop.csv")


@pytest.mark.parametrize(
    ("line", "column", "code"),
    [
        (b'{"type": "a" "b"}', 14, "invalid_json"),
        (b"7", 1, "invalid_json"),
        (b"[" * 100_000, 1, "too_deep"),
    ],
)
def test_json_that_breaks_says_where(line: bytes, column: int, code: str) -> None:
    """The column is where the parser gave up."""
    assert problems(json_lines(b'{"type": "a", "customer": "1"}\n\n' + line + b"\n")) == [(3, column, code)]


def test_a_field_at_fault_is_found_in_its_line() -> None:
    """The judge's pointer leads to where the field's name stands."""
    lines = json_lines(b'{"customer": "1", "type": ""}\n')
    (line,) = lines
    assert lines.column_of(line, "/type") == 19
    assert lines.column_of(line, "") == 1


def test_several_events_may_stand_in_a_line() -> None:
    """An array or a batch in a line is several items of that line."""
    (line,) = json_lines(b'{"batch": [{"type": "a", "customer": "1"}, {"type": "b", "customer": "1"}]}\n')
    assert [item.type for item in line.items if isinstance(item, Incoming)] == ["a", "b"]


def test_an_event_of_the_topic_is_one_that_could_be_posted() -> None:
    """What ingest adds on the topic is left out, the visitor's id kept: an export of the log can be imported."""
    event: dict[str, Any] = {"id": "1", "type": "a", "subject": "ann", "source": "shop", "time": "2026-03-01T09:00:00Z"}
    added = b',"receivedtime":"2026-03-01T09:00:01Z","anonymousid":"v1","bot":true,"specversion":"1.0"}'
    (line,) = json_lines(str(event).replace("'", '"').encode()[:-1] + added)
    assert line == Line(1, [{**event, "specversion": "1.0", "anonymous": "v1"}], line.original)
