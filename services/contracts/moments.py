"""Stored times: whole microseconds since 1970-01-01 UTC, the same on SQLite and PostgreSQL, exact and sortable."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Return the stored form of an aware time."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the aware UTC time of a stored one."""
    return _EPOCH + timedelta(microseconds=micros)
