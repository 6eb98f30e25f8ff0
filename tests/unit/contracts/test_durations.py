"""Durations as people write them."""

from datetime import timedelta

import pytest

from services.contracts.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("5s", timedelta(seconds=5)),
        ("10m", timedelta(minutes=10)),
        (" 1 h ", timedelta(hours=1)),
        ("30d", timedelta(days=30)),
        ("2w", timedelta(weeks=2)),
        ("0s", timedelta(0)),
        ("PT1H30M", timedelta(hours=1, minutes=30)),
        ("P1DT0.5S", timedelta(days=1, milliseconds=500)),
        ("P2W", timedelta(weeks=2)),
    ],
)
def test_reads_each_form(text: str, expected: timedelta) -> None:
    """Short forms and ISO 8601 give the exact duration."""
    assert expected == parse_duration(text)


@pytest.mark.parametrize("text", ["", "5", "1.5h", "-1h", "1y", "P1Y", "P1M", "P", "PT", "P1DT", "1h30", "PT-1H", "h", "٣h", "1h\x00"])
def test_refuses_what_has_no_fixed_length_or_no_unit(text: str) -> None:
    """Anything else is an error that names the text and the cure."""
    with pytest.raises(ValueError, match="is no duration: write a number and a unit"):
        parse_duration(text)


def test_refuses_a_duration_that_python_can_not_hold() -> None:
    """A number of weeks beyond the calendar is an error, not an overflow."""
    with pytest.raises(ValueError, match="longer than any time"):
        parse_duration("999999999999w")


@pytest.mark.parametrize("text", ["0ms", "250ms", "5s", "90s", "10m", "36h", "30d", "2w"])
def test_formats_the_way_it_reads(text: str) -> None:
    """Formatting and reading are inverse."""
    duration = parse_duration(text)
    assert duration == parse_duration(format_duration(duration))


def test_formats_with_the_largest_unit_that_fits() -> None:
    """An hour and a half is 90 minutes, a day is a day."""
    durations = (timedelta(hours=1.5), timedelta(hours=24), timedelta(days=7))
    assert [format_duration(each) for each in durations] == ["90m", "1d", "1w"]
