"""When an event happened: reading a client's time, correcting it for the error of the client's clock, and its bounds."""

from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import msgspec

from services.contracts.errors import InvalidEvent

MAX_AGE = timedelta(days=30)
"""How far back an event's time may lie unless the event is historical."""
_MILLISECONDS_FROM = 100_000_000_000
"""Unix numbers from here on are milliseconds: as seconds they would be the year 5138."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN = 100
_Time = datetime | float


def read_time(value: Any, field: str) -> _Time | None:
    """Return the time that a JSON value states: ISO 8601 text or a Unix number; raises `InvalidEvent` (`invalid_<field>`)."""
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    if not isinstance(value, str):
        _refuse(f"{field} must be text or a number", field)
    text = value.strip()
    if not text:
        return None
    try:
        return msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return _parse_iso(text, field)


def moment_of(time: _Time | None, received_at: datetime, pointer: str) -> datetime:
    """Return a stated time in aware UTC, `received_at` where none was stated; raises `InvalidEvent` (`naive_time`, `invalid_time`)."""
    if time is None:
        return received_at
    if not isinstance(time, datetime):
        return _from_unix(time, pointer)
    if time.tzinfo is UTC:
        return time
    if time.tzinfo is None:
        raise InvalidEvent(f"{time.isoformat()} has no offset: add Z or +03:00", code="naive_time", pointer=pointer)
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise InvalidEvent(f"{time.isoformat()} is outside the years 1 to 9999", code="invalid_time", pointer=pointer) from error


def corrected(stated: datetime, sent_at: _Time, received_at: datetime) -> datetime:
    """Return when it happened by our own clock: received - (sent - stated).

    So do Segment's and RudderStack's servers: https://segment.com/docs/connections/spec/common/#timestamp-overview
    """
    try:
        return received_at - (moment_of(sent_at, received_at, "/sent_at") - stated)
    except OverflowError:
        return received_at


def within(time: datetime, received_at: datetime, *, historical: bool) -> datetime:
    """Return the time itself where it may stand, else the nearest that may."""
    if time > received_at:
        return received_at
    if historical or time >= (oldest := received_at - MAX_AGE):
        return time
    return oldest


def _from_unix(number: float, pointer: str) -> datetime:
    try:
        seconds = number / 1000 if abs(number) >= _MILLISECONDS_FROM else number
        return _EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError) as error:
        raise InvalidEvent(f"{number} is no Unix time", code="invalid_time", pointer=pointer) from error


def _parse_iso(text: str, field: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        _refuse(f"{text[:_SHOWN]!r} is no ISO 8601 time", field)


def _refuse(message: str, field: str) -> NoReturn:
    raise InvalidEvent(message, code=f"invalid_{field}", pointer=f"/{field}") from None
