"""Times as options of commands."""

from datetime import UTC, datetime

import click


def moment(_context: click.Context, _option: click.Parameter, value: str | None) -> datetime | None:
    """Read a time or a date, UTC where it names no offset."""
    if value is None:
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no time; write 2024-03-01 or 2024-03-01T10:00:00Z") from error
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
