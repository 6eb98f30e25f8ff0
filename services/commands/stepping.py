"""Time in steps: a frozen clock that moves from one due time to the next, and only when everything at the present one is done.

So a run through months takes minutes, and the services meet every timer at its own time, as they would have live.
"""

from datetime import datetime

from sqlalchemy import text

from services.commands.draining import Drain
from services.contracts.moments import from_micros, to_micros
from services.runtime.clock import FrozenClock
from services.runtime.database import Database

_NEXT_DUE = text(
    "SELECT min(due_at) FROM ("
    " SELECT min(next_due_at) AS due_at FROM customers WHERE next_due_at > :now"
    " UNION ALL SELECT min(due_at) FROM deliveries WHERE ended_at IS NULL AND due_at > :now) AS due"
)


_DUE_BY = text("SELECT customer, next_due_at FROM customers WHERE next_due_at <= :moment")


class Stepper:
    """Moves the clock of running services; one at a time, by whoever posts the events."""

    def __init__(self, clock: FrozenClock, database: Database, drain: Drain, *, poll_seconds: float = 0.002) -> None:
        self._clock = clock
        self._database = database
        self._drain = drain
        self._poll_seconds = poll_seconds

    async def advance_to(self, moment: datetime) -> None:
        """Move to `moment` by way of every timer due before it; when it returns, `now` is `moment` and nothing older is left to do."""
        while (due := await self.next_due_at()) is not None and due <= moment:
            await self.step(due)
        if moment > self._clock.now():
            await self.step(moment)

    async def settle(self) -> None:
        """Wait until nothing is left to do now."""
        await self._drain.wait(self._clock.now(), poll_seconds=self._poll_seconds)

    async def run_out(self) -> None:
        """Move on until no timer is left."""
        await self.settle()
        while (due := await self.next_due_at()) is not None:
            await self.step(due)

    async def step(self, moment: datetime) -> None:
        """Move to `moment` at once and wait until everything due by then is done; timers due before it fire late."""
        self.move_to(moment)
        await self.settle()

    def move_to(self, moment: datetime) -> None:
        """Move to `moment` without waiting for anything; stays where it is if it is there already."""
        self._clock.advance_to(max(moment, self._clock.now()))

    async def next_due_at(self) -> datetime | None:
        """Return when the next timer or delivery is due, None where there is none."""
        async with self._database.reading() as connection:
            due = (await connection.execute(_NEXT_DUE, {"now": to_micros(self._clock.now())})).scalar_one()
        return None if due is None else from_micros(due)

    async def timers_until(self, moment: datetime) -> dict[str, datetime]:
        """Return when the next timer of each customer is due, of those that are by `moment`."""
        async with self._database.reading() as connection:
            rows = await connection.execute(_DUE_BY, {"moment": to_micros(moment)})
            return {row.customer: from_micros(row.next_due_at) for row in rows}
