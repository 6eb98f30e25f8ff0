"""Quiet hours around every change of the clock in many zones: random times alone would miss them."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.rules.core.quiet_hours import is_quiet, next_open, open_windows
from services.rules.core.ruleset import QuietHours
from tests.builders import DAY

MINUTE = timedelta(minutes=1)
ZONES = (
    "Africa/Casablanca",
    "America/Havana",
    "America/New_York",
    "America/St_Johns",
    "America/Santiago",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/London",
    "Europe/Moscow",
    "Pacific/Apia",
    "Pacific/Chatham",
    "UTC",
)


def changes_of(zone: str) -> list[datetime]:
    """Return the hours in which the zone's clock changed between 2009 and 2025, found by looking at every hour."""
    known = ZoneInfo(zone)
    found, at = [], datetime(2009, 1, 1, tzinfo=UTC)
    while at.year < 2025:
        if at.astimezone(known).utcoffset() != (at + 60 * MINUTE).astimezone(known).utcoffset():
            found.append(at)
        at += 60 * MINUTE
    return found or [datetime(2024, 5, 13, tzinfo=UTC)]


CHANGES = {zone: changes_of(zone) for zone in ZONES}
WALLS = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
INSTANTS = st.sampled_from(ZONES).flatmap(
    lambda zone: st.tuples(st.just(zone), st.sampled_from(CHANGES[zone]), st.integers(-2_000, 2_000).map(lambda minutes: minutes * MINUTE))
)
WINDOWS = st.lists(st.builds(QuietHours, WALLS, WALLS), min_size=1, max_size=2).map(tuple)


@given(INSTANTS, WINDOWS)
@settings(max_examples=200, deadline=None)
def test_the_next_open_moment(instant: tuple[str, datetime, timedelta], quiets: tuple[QuietHours, ...]) -> None:
    """It is not in the past, not quiet, stable when asked again, and no earlier minute was open."""
    name, change, offset = instant
    zone, moment = ZoneInfo(name), change + offset
    found = next_open(quiets, zone, moment, moment + 3 * DAY)
    if found is None:
        assert all(is_quiet(quiets, moment + minutes * MINUTE, zone) for minutes in range(0, 3 * 24 * 60, 5))
        return
    assert found >= moment
    assert not is_quiet(quiets, found, zone)
    assert next_open(quiets, zone, found, found + DAY) == found
    earlier = moment
    while earlier < found:
        assert is_quiet(quiets, earlier, zone)
        earlier += 5 * MINUTE


@given(INSTANTS, WINDOWS)
@settings(max_examples=100, deadline=None)
def test_windows_are_exactly_what_is_not_quiet(instant: tuple[str, datetime, timedelta], quiets: tuple[QuietHours, ...]) -> None:
    """Every fifth minute of two days lies in a window if and only if the wall clock is not quiet then."""
    name, change, offset = instant
    zone, start = ZoneInfo(name), change + offset
    windows = open_windows(quiets, zone, start, start + 2 * DAY)
    for minutes in range(0, 2 * 24 * 60, 5):
        moment = start + minutes * MINUTE
        inside = any(window.starts_at <= moment < window.ends_at for window in windows)
        assert inside is not is_quiet(quiets, moment, zone), moment.astimezone(zone)


@pytest.mark.parametrize("zone", ZONES)
def test_nights_around_every_change(zone: str) -> None:
    """21:00 to 09:00 around each change: asked every 30 minutes, the answer is later or now, open, and on the wall clock's edge."""
    night = (QuietHours(time(21), time(9)),)
    known = ZoneInfo(zone)
    for change in CHANGES[zone]:
        for half_hours in range(-60, 60):
            moment = change + half_hours * 30 * MINUTE
            found = next_open(night, known, moment, moment + 2 * DAY)
            assert found is not None
            assert found >= moment
            assert not is_quiet(night, found, known)
            if found > moment:
                assert found.astimezone(known).time() == time(9)
