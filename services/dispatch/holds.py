"""Kill switches: they hold messages, they do not drop them. Table `holds` (owner: dispatch).

A held message waits with its expiry as due time, so that holding a million of them costs nothing; `release` makes them due again.
Claims read the switches with a row lock, so a release never misses a message that a claim is putting on hold.
"""

from datetime import datetime
from typing import Literal, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.moments import to_micros

Scope = Literal["channel", "provider", "journey", "template", "all"]
_READ = "SELECT scope, name FROM holds"
_READ_LOCKED = {"sqlite": text(_READ), "postgresql": text(f"{_READ} FOR SHARE")}
_LIST = text("SELECT scope, name, held_at, held_by FROM holds ORDER BY scope, name")
_HOLD = text(
    "INSERT INTO holds (scope, name, held_at, held_by) VALUES (:scope, :name, :held_at, :held_by) ON CONFLICT (scope, name) DO NOTHING"
)
_RELEASE = text("DELETE FROM holds WHERE scope = :scope AND name = :name")
_WAKE = text("UPDATE deliveries SET due_at = :now, reason = NULL WHERE reason = 'held' AND ended_at IS NULL AND due_at IS NOT NULL")


class Hold(NamedTuple):
    """One kill switch that is set; `name` is empty for `all`. `held_at` in microseconds."""

    scope: str
    name: str
    held_at: int
    held_by: str


async def hold(connection: AsyncConnection, scope: Scope, name: str, now: datetime, held_by: str) -> None:
    """Set a kill switch: no message it covers is claimed after the commit. Harmless twice."""
    await connection.execute(_HOLD, {"scope": scope, "name": name, "held_at": to_micros(now), "held_by": held_by})


async def release(connection: AsyncConnection, scope: Scope, name: str, now: datetime) -> bool:
    """Lift a kill switch and make what it held due now (another switch may hold it again); say whether it was set."""
    result = await connection.execute(_RELEASE, {"scope": scope, "name": name})
    await connection.execute(_WAKE, {"now": to_micros(now)})
    return bool(result.rowcount)


async def active(connection: AsyncConnection) -> list[Hold]:
    """Return every switch that is set."""
    return [Hold(*row) for row in await connection.execute(_LIST)]


async def read_for_claim(connection: AsyncConnection) -> frozenset[tuple[str, str]]:
    """Return (scope, name) of every switch, locked against a release until the claim's transaction ends."""
    rows = await connection.execute(_READ_LOCKED[connection.dialect.name])
    return frozenset((row.scope, row.name) for row in rows)
