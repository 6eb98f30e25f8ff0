"""Time zones: which one holds, and where local days begin."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.rules.core.document import CustomerDocument
from services.rules.core.zones import calendar_window, find_zone, local_midnight, zone_of
from tests.builders import NOON, make_document, make_policy

MOSCOW = make_policy(default_timezone="Europe/Moscow")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (make_document(), "Europe/Moscow"),
        (make_document(event_timezone="Asia/Tokyo"), "Asia/Tokyo"),
        (make_document(event_timezone="Asia/Tokyo", timezone="Asia/Omsk"), "Asia/Omsk"),
        (make_document(event_timezone="Asia/Tokyo", timezone="Mars/Olympus"), "Asia/Tokyo"),
        (make_document(event_timezone="GMT+0000", timezone="../../etc/passwd"), "Europe/Moscow"),
    ],
)
def test_the_chain_of_zones(document: CustomerDocument, expected: str) -> None:
    """The customer's own zone, else that of the last event, else the default; what is no zone is passed over."""
    assert zone_of(document, MOSCOW)[0] == expected


def test_without_any_zone_it_is_utc() -> None:
    """A default that is no zone leaves UTC."""
    assert zone_of(make_document(), make_policy(default_timezone="Nowhere/At_All")) == ("UTC", UTC)


@pytest.mark.parametrize("name", ["", "Europe", "Mars/Olympus", "/etc/passwd", "../UTC", "a" * 500, "Europe/Moscow\x00", "posixrules/x"])
def test_what_is_no_zone(name: str) -> None:
    """Names from outside are never an error."""
    assert find_zone(name) is None


@pytest.mark.parametrize(
    ("unit", "days", "start", "end"),
    [
        ("day", 1, "2024-05-13T00:00+03:00", "2024-05-14T00:00+03:00"),
        ("", 1, "2024-05-13T00:00+03:00", "2024-05-14T00:00+03:00"),
        ("week", 7, "2024-05-13T00:00+03:00", "2024-05-20T00:00+03:00"),
        ("month", 31, "2024-05-01T00:00+03:00", "2024-06-01T00:00+03:00"),
        ("day", 3, "2024-05-11T00:00+03:00", "2024-05-14T00:00+03:00"),
    ],
)
def test_calendar_windows_are_local(unit: str, days: int, start: str, end: str) -> None:
    """Days and months begin at local midnight, weeks on Monday, stretches of days at fixed places."""
    moment = datetime.fromisoformat("2024-05-13T01:00+03:00")
    window = calendar_window(moment, ZoneInfo("Europe/Moscow"), unit, days)
    assert window == (datetime.fromisoformat(start), datetime.fromisoformat(end))


def test_a_day_without_midnight_begins_at_the_change() -> None:
    """In Beirut clocks went from 00:00 to 01:00: the day began with the change."""
    assert local_midnight(date(2022, 3, 27), ZoneInfo("Asia/Beirut")) == datetime(2022, 3, 26, 22, tzinfo=UTC)


def test_days_of_changes_are_shorter_or_longer() -> None:
    """A calendar day around a change of the clock has 23 or 25 hours."""
    berlin = ZoneInfo("Europe/Berlin")
    for day, hours in ((datetime(2024, 3, 31, 10, tzinfo=UTC), 23), (datetime(2024, 10, 27, 10, tzinfo=UTC), 25), (NOON, 24)):
        start, end = calendar_window(day, berlin, "day", 1)
        assert end - start == timedelta(hours=hours)
