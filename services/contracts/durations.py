"""Durations as people write them: `500ms`, `5s`, `10m`, `1h`, `30d`, `2w`, or ISO 8601 (`PT1H30M`)."""

import re
from datetime import timedelta

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_SHORT = re.compile(r"(\d{1,12})\s*(ms|s|m|h|d|w)", re.ASCII)
_ISO = re.compile(
    r"P(?!$)(?:(\d{1,6})W)?(?:(\d{1,9})D)?(?:T(?!$)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,12}(?:\.\d{1,6})?)S)?)?",
    re.ASCII,
)
_ISO_FIELDS = ("weeks", "days", "hours", "minutes", "seconds")
CURE = "write a number and a unit (500ms, 5s, 10m, 1h, 30d, 2w) or ISO 8601 (PT1H30M)"


def parse_duration(text: str) -> timedelta:
    """Return the duration that `text` spells; raises `ValueError` with the cure in it.

    Months and years are refused: they have no fixed length. Negative durations are refused.
    """
    text = text.strip()
    try:
        if short := _SHORT.fullmatch(text):
            return int(short[1]) * _UNITS[short[2]]
        if iso := _ISO.fullmatch(text):
            return timedelta(**{field: float(part) for field, part in zip(_ISO_FIELDS, iso.groups(), strict=True) if part})
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any time Povod can count") from None
    raise ValueError(f"{text!r} is no duration: {CURE}")


def format_duration(duration: timedelta) -> str:
    """Return the shortest form that `parse_duration` reads back as the same duration (to the millisecond)."""
    for unit in ("w", "d", "h", "m", "s"):
        if duration and not duration % _UNITS[unit]:
            return f"{duration // _UNITS[unit]}{unit}"
    return f"{duration // _UNITS['ms']}ms"
