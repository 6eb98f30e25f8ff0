"""When nobody is written to: quiet hours as instants of UTC, exact through every change of clocks.

An instant is quiet where the wall clock of the zone shows a quiet time, so a repeated hour counts twice and a skipped one not at all.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise

from services.contracts.messages import Window
from services.rules.core.ruleset import QuietHours

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_PROBE = timedelta(hours=6)
MAX_WINDOWS = 100
"""Windows of one message; what lies behind them is given up (a message valid for a quarter of a year and more)."""


def covers(quiet: QuietHours, local: time) -> bool:
    """Say whether a local time of day is quiet. Equal ends mean never."""
    if quiet.start <= quiet.end:
        return quiet.start <= local < quiet.end
    return local >= quiet.start or local < quiet.end


def is_quiet(quiets: Iterable[QuietHours], moment: datetime, zone: tzinfo) -> bool:
    """Say whether any of these quiet hours covers the moment in that zone."""
    local = moment.astimezone(zone).time()
    return any(covers(quiet, local) for quiet in quiets)


def open_windows(quiets: tuple[QuietHours, ...], zone: tzinfo, begins_at: datetime, ends_at: datetime) -> tuple[Window, ...]:
    """Return the intervals of `[begins_at, ends_at)` outside quiet hours, in order, at most `MAX_WINDOWS`."""
    windows: list[Window] = []
    for start, end in _clip(_open_stretches(quiets, zone, begins_at, ends_at), begins_at, ends_at):
        if windows and windows[-1].ends_at == start:
            windows[-1] = Window(windows[-1].starts_at, end)
        elif len(windows) == MAX_WINDOWS:
            break
        else:
            windows.append(Window(start, end))
    return tuple(windows)


def next_open(quiets: tuple[QuietHours, ...], zone: tzinfo, moment: datetime, before: datetime) -> datetime | None:
    """Return the first moment at or after `moment` outside quiet hours, `None` where there is none before `before`."""
    for start, _ in _clip(_open_stretches(quiets, zone, moment, before), moment, before):
        return start
    return None


def _open_stretches(
    quiets: tuple[QuietHours, ...], zone: tzinfo, begins_at: datetime, ends_at: datetime
) -> Iterator[tuple[datetime, datetime]]:
    if not quiets:
        yield begins_at, ends_at
        return
    day = begins_at.date()
    while day <= ends_at.date():
        yield from _open_of_day(quiets, zone, day)
        day += _DAY


def _clip(stretches: Iterator[tuple[datetime, datetime]], begins_at: datetime, ends_at: datetime) -> Iterator[tuple[datetime, datetime]]:
    for start, end in stretches:
        clipped = max(start, begins_at), min(end, ends_at)
        if clipped[0] < clipped[1]:
            yield clipped


@lru_cache(maxsize=4096)
def _open_of_day(quiets: tuple[QuietHours, ...], zone: tzinfo, day: date) -> tuple[tuple[datetime, datetime], ...]:
    """Return the stretches of one day of UTC outside quiet hours: between two edges the answer is the same everywhere."""
    start = datetime.combine(day, time(), UTC)
    end = start + _DAY
    inner = {edge for edge in _edges(quiets, zone, day) if start < edge < end}
    edges = [start, *sorted(inner), end]
    return tuple((a, b) for a, b in pairwise(edges) if not is_quiet(quiets, a, zone))


def _edges(quiets: tuple[QuietHours, ...], zone: tzinfo, day: date) -> Iterator[datetime]:
    """Yield every instant of the UTC day, and some around it, at which quiet hours may begin or end."""
    for local_day in (day - _DAY, day, day + _DAY):
        for quiet in quiets:
            for wall in (quiet.start, quiet.end):
                for fold in (0, 1):
                    yield datetime.combine(local_day, wall.replace(fold=fold), zone).astimezone(UTC)
    yield from _clock_changes(zone, datetime.combine(day, time(), UTC))


def _clock_changes(zone: tzinfo, start: datetime) -> Iterator[datetime]:
    """Yield when the zone's offset changes within a day from `start`."""
    for step in range(4):
        before, after = start + step * _PROBE, start + (step + 1) * _PROBE
        if _offset(zone, before) != _offset(zone, after):
            yield _change_between(zone, before, after)


def _change_between(zone: tzinfo, before: datetime, after: datetime) -> datetime:
    old = _offset(zone, before)
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if _offset(zone, middle) == old:
            before = middle
        else:
            after = middle
    return after


def _offset(zone: tzinfo, moment: datetime) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()
