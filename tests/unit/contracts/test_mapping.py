"""The map reader: columns become events, rows that can't are reported, and a wrong map says what is wrong."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.contracts.columns import EventMap
from services.contracts.errors import InvalidMap, Rejected
from services.contracts.mapping import parse_map, read_files
from services.contracts.resources import resource

MAP = """
customer: user
time: {column: at, zone: Europe/Moscow}
type: {column: what, map: {buy: order.completed}}
id: [user, what, at]
"""


def write(folder: Path, content: str, name: str = "events.csv") -> Path:
    """Put a file into the test's folder."""
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def the_map(content: str = MAP) -> EventMap:
    """Return a map of the columns user, at, what and more."""
    return parse_map(content)


def test_a_row_becomes_an_event(tmp_path: Path) -> None:
    """Customer, time in the map's zone, mapped type and the other columns as data come out as one event."""
    path = write(tmp_path, "user,at,what,total\nann,2024-03-01 12:00:00,buy,500\n")

    (event,) = read_files([path], the_map()).events

    assert (event.subject, event.type, event.source, event.data) == ("ann", "order.completed", "file", {"total": "500"})
    assert event.time == event.receivedtime == datetime(2024, 3, 1, 9, tzinfo=UTC)
    assert event.time.tzinfo is UTC


def test_a_time_with_an_offset_keeps_it(tmp_path: Path) -> None:
    """The map's zone holds only where the value names none."""
    path = write(tmp_path, "user,at,what\nann,2024-03-01T12:00:00+05:00,buy\n")

    assert read_files([path], the_map()).events[0].time == datetime(2024, 3, 1, 7, tzinfo=UTC)


def test_a_format_reads_other_times(tmp_path: Path) -> None:
    """`format` is strptime's."""
    path = write(tmp_path, "user,at,what\nann,19970102,buy\n")
    event_map = the_map(MAP.replace("zone: Europe/Moscow", "format: '%Y%m%d'"))

    assert read_files([path], event_map).events[0].time == datetime(1997, 1, 2, tzinfo=UTC)


def test_rows_come_out_by_time_and_equal_times_keep_their_order(tmp_path: Path) -> None:
    """Rows may lie in any order, over several files."""
    first = write(tmp_path, "user,at,what\nann,2024-03-02,b\nann,2024-03-01,a\n", "first.csv")
    second = write(tmp_path, "user,at,what\nann,2024-03-01,c\nann,2024-02-01,d\n", "second.csv")

    assert [event.type for event in read_files([first, second], the_map()).events] == ["d", "a", "c", "b"]


def test_equal_id_columns_give_equal_ids(tmp_path: Path) -> None:
    """An exact duplicate has the id of the first, and nothing else has."""
    path = write(tmp_path, "user,at,what,x\nann,2024-03-01,b,1\nann,2024-03-01,b,2\nann,2024-03-01,c,1\n")

    first, second, third = read_files([path], the_map()).events
    assert first.id == second.id != third.id


def test_without_id_columns_the_row_is_the_id(tmp_path: Path) -> None:
    """The default identity is the file and the line."""
    path = write(tmp_path, "user,at,what\nann,2024-03-01,b\nann,2024-03-01,b\n")
    event_map = the_map(MAP.replace("id: [user, what, at]", ""))

    assert [event.id for event in read_files([path], event_map).events] == ["events.csv:2", "events.csv:3"]


def test_data_numbers_constants_and_source(tmp_path: Path) -> None:
    """Only the named columns become data, numbers are numbers, an empty number is left out, constants are added."""
    path = write(tmp_path, "user,at,what,total,count,noise\nann,2024-03-01,b,9.50,3,x\nann,2024-03-02,b,,4,x\n")
    event_map = the_map(MAP + "data: [total, count]\nnumbers: [total, count]\nconstants: {currency: RUB}\nsource: shop\n")

    events = read_files([path], event_map).events

    assert [event.data for event in events] == [{"total": 9.5, "count": 3, "currency": "RUB"}, {"count": 4, "currency": "RUB"}]
    assert events[0].source == "shop"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("ann,2024-03-01", "2 fields, the header has 3"),
        ("ann,yesterday,b", "at: 'yesterday' is no ISO 8601 time; name the column's form in the map (format:)"),
        (",2024-03-01,b", "a customer id has 1 to 255 characters, this one 0"),
        (f"{'x' * 256},2024-03-01,b", "a customer id has 1 to 255 characters, this one 256"),
        ("ann,2024-03-01,", "the event's type is empty"),
        ("ann,0001-01-01,b", "0001-01-01T00:00:00+02:30:17 is outside the years 1 to 9999"),
    ],
)
def test_a_bad_row_is_reported_with_its_line(tmp_path: Path, row: str, problem: str) -> None:
    """It costs itself only: the rows around it are read."""
    path = write(tmp_path, f"user,at,what\nann,2024-03-01,a\n{row}\nann,2024-03-02,c\n")

    reading = read_files([path], the_map())

    assert [event.type for event in reading.events] == ["a", "c"]
    assert [str(bad) for bad in reading.bad_rows] == [f"events.csv:3: {problem}"]


def test_bytes_that_are_no_utf8_cost_their_row_only(tmp_path: Path) -> None:
    """Also inside a column that is not used."""
    path = tmp_path / "events.csv"
    path.write_bytes(b"user,at,what\nann,2024-03-01,\xff\nann,2024-03-02,c\n")

    reading = read_files([path], the_map())

    assert [event.type for event in reading.events] == ["c"]
    assert str(reading.bad_rows[0]) == "events.csv:2: holds bytes that are no UTF-8"


def test_a_number_that_is_none_is_a_bad_row(tmp_path: Path) -> None:
    """Words and infinities in a column of numbers are reported."""
    path = write(tmp_path, "user,at,what,total\nann,2024-03-01,b,many\nann,2024-03-01,b,1e999\n")

    reading = read_files([path], the_map(MAP + "numbers: [total]"))

    assert [bad.problem for bad in reading.bad_rows] == ["total: 'many' is no number", "total: '1e999' is no finite number"]


def test_json_lines_of_the_topic_are_read_too(tmp_path: Path) -> None:
    """What lies on the events topic names its customer `subject` and keeps its source; in a file it was received when it happened."""
    line = (
        '{"specversion": "1.0", "id": "7", "source": "shop", "type": "a", "subject": "ann", "time": "2024-03-01T12:00:00+02:00",'
        ' "receivedtime": "2024-03-01T10:00:01Z", "historical": true}\n'
    )

    (event,) = read_files([write(tmp_path, line, "events.jsonl")]).events

    assert (event.id, event.source, event.subject, event.historical) == ("7", "shop", "ann", True)
    assert event.time == event.receivedtime == datetime(2024, 3, 1, 10, tzinfo=UTC)


def test_gzip_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    """A gzipped file with a BOM, as spreadsheets write it, reads like a plain one."""
    path = tmp_path / "events.csv.gz"
    path.write_bytes(gzip.compress("\ufeffuser,at,what\nАнна,2024-03-01,b\n".encode()))

    assert read_files([path], the_map()).events[0].subject == "Анна"


def test_json_lines_are_events_with_defaults(tmp_path: Path) -> None:
    """id, source and receivedtime may be left out; a line that is no event is reported."""
    path = write(
        tmp_path,
        '{"type": "a", "customer": "ann", "time": "2024-03-01T10:00:00Z", "data": {"n": 1}}\n\n{"type": "b"}\n'
        '{"type": "b", "subject": "ann", "time": "2024-03-01T10:00:00"}\n',
        "events.ndjson",
    )

    reading = read_files([path])

    (event,) = reading.events
    assert (event.id, event.source, event.data) == ("events.ndjson:1", "file", {"n": 1})
    assert event.receivedtime == event.time == datetime(2024, 3, 1, 10, tzinfo=UTC)
    assert [bad.line for bad in reading.bad_rows] == [3, 4]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("customer:", "custmer:"), "did you mean 'customer'?"),
        (("zone: Europe/Moscow", "zone: Europe/Moskow"), "unknown time zone 'Europe/Moskow'"),
        (("type: {column: what", "type: {colum: what"), "did you mean 'column'?"),
        (("user\n", "[user\n"), "map.yaml"),
        (("user\n", "&a user\nsource: *a\n"), "aliases are not allowed"),
    ],
)
def test_a_wrong_map_says_what_is_wrong(change: tuple[str, str], complaint: str) -> None:
    """Unknown keys come with a suggestion, and zones are looked up when the map is read."""
    with pytest.raises(InvalidMap) as caught:
        parse_map(MAP.replace(*change))

    assert complaint in caught.value.message


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With what may have been meant."""
    path = write(tmp_path, "usr,at,what\nann,2024-03-01,b\n")

    with pytest.raises(InvalidMap, match="there is no column 'user'; did you mean 'usr'"):
        read_files([path], the_map())


def test_a_csv_without_a_map_says_so(tmp_path: Path) -> None:
    """Columns have no meaning of their own."""
    with pytest.raises(InvalidMap, match="needs a map"):
        read_files([write(tmp_path, "user\nann\n")])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The operating system's error does not leak."""
    with pytest.raises(Rejected, match=r"none\.ndjson: can't be read"):
        read_files([tmp_path / "none.ndjson"])


def test_a_gzip_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    """Half a file would give half an answer."""
    path = tmp_path / "events.ndjson.gz"
    path.write_bytes(gzip.compress(b'{"type": "a"}\n' * 500)[:-12])

    with pytest.raises(Rejected, match="can't be read"):
        read_files([path])


def test_the_example_clickstream_is_whole() -> None:
    """31,106 rows of 600 customers, thirty of them exact duplicates, none bad."""
    shop = resource("examples") / "shop"
    event_map = parse_map((shop / "map.yaml").read_text(encoding="utf-8"))

    reading = read_files([shop / "clickstream.csv.gz"], event_map)

    assert reading.bad_rows == []
    assert (len(reading.events), len({event.id for event in reading.events})) == (31_106, 31_076)
    assert len({event.subject for event in reading.events}) == 600
    assert [event.time for event in reading.events] == sorted(event.time for event in reading.events)
