"""Quiet hours as instants: asserted in absolute local time, around changes of the clock above all."""

from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest

from services.contracts.messages import Window
from services.rules.core.quiet_hours import MAX_WINDOWS, is_quiet, next_open, open_windows
from services.rules.core.ruleset import QuietHours
from tests.builders import DAY, HOUR, NOON

NIGHT = (QuietHours(time(21), time(9)),)
MOSCOW = ZoneInfo("Europe/Moscow")
MINUTE = timedelta(minutes=1)


def local(zone: tzinfo, text: str, fold: int = 0) -> datetime:
    """Return the instant that a wall clock of the zone shows as `text`."""
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


def opens(quiets: tuple[QuietHours, ...], zone: ZoneInfo, moment: datetime) -> str:
    """Return the next open moment as weekday, wall clock and offset of the zone."""
    found = next_open(quiets, zone, moment, moment + 3 * DAY)
    assert found is not None
    return found.astimezone(zone).strftime("%a %Y-%m-%d %H:%M %z")


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2024-05-13T20:59", "Mon 2024-05-13 20:59 +0300"),
        ("2024-05-13T21:00", "Tue 2024-05-14 09:00 +0300"),
        ("2024-05-13T23:30", "Tue 2024-05-14 09:00 +0300"),
        ("2024-05-14T00:00", "Tue 2024-05-14 09:00 +0300"),
        ("2024-05-14T08:59", "Tue 2024-05-14 09:00 +0300"),
        ("2024-05-14T09:00", "Tue 2024-05-14 09:00 +0300"),
    ],
)
def test_night_ends_in_the_morning(moment: str, expected: str) -> None:
    """Over midnight, the window ends on the next local day before midnight, and on the same day after it."""
    assert opens(NIGHT, MOSCOW, local(MOSCOW, moment)) == expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [("2024-05-13T23:30", "Tue 2024-05-14 01:00 +0300"), ("2024-05-14T00:30", "Tue 2024-05-14 01:00 +0300")],
)
def test_a_short_window_over_midnight(moment: str, expected: str) -> None:
    """23:00 to 01:00 asked at 23:30 ends at 01:00 of the same night, not a day later."""
    assert opens((QuietHours(time(23), time(1)),), MOSCOW, local(MOSCOW, moment)) == expected


def test_a_window_within_the_day() -> None:
    """13:00 to 14:00 is quiet, what lies around it is not."""
    lunch = (QuietHours(time(13), time(14)),)
    assert opens(lunch, MOSCOW, local(MOSCOW, "2024-05-13T13:00")) == "Mon 2024-05-13 14:00 +0300"
    assert opens(lunch, MOSCOW, local(MOSCOW, "2024-05-13T12:59")) == "Mon 2024-05-13 12:59 +0300"


def test_equal_ends_mean_none() -> None:
    """A window that ends where it begins is never quiet."""
    never = (QuietHours(time(9), time(9)),)
    assert not is_quiet(never, NOON, UTC)
    assert open_windows(never, UTC, NOON, NOON + DAY) == (Window(NOON, NOON + DAY),)


NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("quiet", "moment", "expected"),
    [
        pytest.param(NIGHT, "2024-03-09T22:00", "Sun 2024-03-10 09:00 -0400", id="spring: nine o'clock stays nine o'clock"),
        pytest.param(NIGHT, "2024-11-02T22:00", "Sun 2024-11-03 09:00 -0500", id="autumn: nine o'clock stays nine o'clock"),
        pytest.param((QuietHours(time(0), time(2, 30)),), "2024-03-10T01:30", "Sun 2024-03-10 03:00 -0400", id="the end is skipped"),
        pytest.param((QuietHours(time(2), time(3)),), "2024-03-10T01:59", "Sun 2024-03-10 01:59 -0500", id="the whole window is skipped"),
        pytest.param((QuietHours(time(0), time(1, 30)),), "2024-11-03T01:00", "Sun 2024-11-03 01:30 -0400", id="the first 01:30 ends it"),
    ],
)
def test_changes_of_the_clock(quiet: tuple[QuietHours, ...], moment: str, expected: str) -> None:
    """The wall clock decides, also on the day on which an hour is skipped or repeated."""
    assert opens(quiet, NEW_YORK, local(NEW_YORK, moment)) == expected


def test_a_repeated_hour_is_quiet_twice() -> None:
    """When 01:00 to 02:00 comes twice, 00:00 to 01:30 is quiet again in the second one, and its end is 01:30 of the second."""
    quiet = (QuietHours(time(0), time(1, 30)),)
    again = local(NEW_YORK, "2024-11-03T01:10", fold=1)
    assert is_quiet(quiet, again, NEW_YORK)
    assert opens(quiet, NEW_YORK, again) == "Sun 2024-11-03 01:30 -0500"
    assert not is_quiet(quiet, local(NEW_YORK, "2024-11-03T01:40"), NEW_YORK)


def test_windows_leave_the_nights_out() -> None:
    """The windows of two days are two afternoons' worth, joined over midnight of UTC."""
    tokyo = ZoneInfo("Asia/Tokyo")
    windows = open_windows(NIGHT, tokyo, local(tokyo, "2024-05-13T12:00"), local(tokyo, "2024-05-15T08:00"))
    assert windows == (
        Window(local(tokyo, "2024-05-13T12:00"), local(tokyo, "2024-05-13T21:00")),
        Window(local(tokyo, "2024-05-14T09:00"), local(tokyo, "2024-05-14T21:00")),
    )


def test_several_quiet_hours_add_up() -> None:
    """Where any of them is quiet, it is quiet; where they cover the day, nothing is open."""
    both = (QuietHours(time(21), time(9)), QuietHours(time(9), time(12)))
    assert opens(both, MOSCOW, local(MOSCOW, "2024-05-13T22:00")) == "Tue 2024-05-14 12:00 +0300"
    all_day = (*both, QuietHours(time(12), time(21)))
    assert next_open(all_day, MOSCOW, NOON, NOON + 9 * DAY) is None
    assert open_windows(all_day, MOSCOW, NOON, NOON + 9 * DAY) == ()


def test_the_number_of_windows_is_bounded() -> None:
    """A message valid for a year names its first hundred windows."""
    windows = open_windows(NIGHT, UTC, NOON, NOON + 366 * DAY)
    assert len(windows) == MAX_WINDOWS
    assert windows[0] == Window(NOON, NOON + 9 * HOUR)


def test_an_end_before_the_opening_gives_nothing() -> None:
    """What must be gone by eight can't wait for nine."""
    late = local(MOSCOW, "2024-05-13T22:00")
    assert next_open(NIGHT, MOSCOW, late, local(MOSCOW, "2024-05-14T09:00")) is None
    assert next_open(NIGHT, MOSCOW, late, local(MOSCOW, "2024-05-14T09:01")) == local(MOSCOW, "2024-05-14T09:00")


def test_a_half_hour_zone_and_a_half_hour_change() -> None:
    """Lord Howe Island moves by thirty minutes: 02:00 becomes 01:30 in autumn."""
    island = ZoneInfo("Australia/Lord_Howe")
    assert opens(NIGHT, island, local(island, "2024-04-06T23:00")) == "Sun 2024-04-07 09:00 +1030"
    assert opens((QuietHours(time(1, 30), time(1, 45)),), island, local(island, "2024-04-07T01:35", fold=1)) == "Sun 2024-04-07 01:45 +1030"


def test_a_day_that_was_left_out() -> None:
    """Samoa had no 30 December 2011: the night before it ends on the 31st."""
    samoa = ZoneInfo("Pacific/Apia")
    assert opens(NIGHT, samoa, local(samoa, "2011-12-29T22:00")) == "Sat 2011-12-31 09:00 +1400"
    before = local(samoa, "2011-12-29T20:59")
    assert opens(NIGHT, samoa, before + MINUTE) == "Sat 2011-12-31 09:00 +1400"
