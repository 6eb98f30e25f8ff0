"""Which time zone a customer lives in, and when local days begin."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from services.rules.core.document import CustomerDocument
from services.rules.core.ruleset import Policy

_DAY = timedelta(days=1)


@lru_cache(maxsize=1024)
def find_zone(name: str) -> tzinfo | None:
    """Return the zone of that name in the tz database, `None` where there is none. Reads the packaged database once a zone."""
    try:
        return ZoneInfo(name) if name and len(name) <= 64 else None
    except (LookupError, ValueError, OSError):
        return None


def zone_of(document: CustomerDocument, policy: Policy) -> tuple[str, tzinfo]:
    """Return the customer's zone: their own, else the one that their last event stated, else the policy's default, else UTC.

    A name that is no zone is passed over. (A zone guessed from a phone number would come second; no guess is made yet.)
    """
    for name in (document.timezone, document.event_timezone, policy.default_timezone):
        if name and (zone := find_zone(name)):
            return name, zone
    return "UTC", UTC


def local_midnight(day: date, zone: tzinfo) -> datetime:
    """Return in UTC when a local day begins; where its midnight is skipped, the moment of the change; where repeated, the first."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def calendar_window(moment: datetime, zone: tzinfo, unit: str, days: int) -> tuple[datetime, datetime]:
    """Return the calendar window around a moment as UTC `[start, end)`: a week from Monday, a month, or a stretch of `days` days.

    Stretches of several days are counted from a fixed day, so that every window has one place in the calendar.
    """
    return _window_of(moment.astimezone(zone).date(), zone, unit, days)


@lru_cache(maxsize=1024)
def _window_of(today: date, zone: tzinfo, unit: str, days: int) -> tuple[datetime, datetime]:
    if unit == "month":
        first = today.replace(day=1)
        following = (first + 31 * _DAY).replace(day=1)
    elif unit == "week":
        first = today - today.weekday() * _DAY
        following = first + 7 * _DAY
    else:
        first = today - (today.toordinal() % days) * _DAY
        following = first + days * _DAY
    return local_midnight(first, zone), local_midnight(following, zone)
