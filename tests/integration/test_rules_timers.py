"""Timers that can't be fired or stored: that customer's wait for an hour, everybody else's fire."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from services.contracts.moments import to_micros
from services.runtime.database import Database
from tests.builders import HOUR, NOON, make_event
from tests.rules_desk import Desk, opened_desk

REFUSE_TIMER = {
    "postgresql": "ALTER TABLE history ADD CONSTRAINT refuse CHECK (kind <> 'timer' OR customer <> 'c1')",
    "sqlite": "CREATE TRIGGER refuse BEFORE INSERT ON history WHEN NEW.kind = 'timer' AND NEW.customer = 'c1'"
    " BEGIN SELECT RAISE(ABORT, 'refused'); END",
}
ACCEPT_TIMER = {"postgresql": "ALTER TABLE history DROP CONSTRAINT refuse", "sqlite": "DROP TRIGGER refuse"}
CUSTOMERS = [f"c{n}" for n in range(8)]


@pytest.fixture
async def desk(tmp_path: Path, database: Database) -> AsyncIterator[Desk]:
    """Return a desk on each database; eight customers have put something into their carts, and an hour is nearly over."""
    async with opened_desk(tmp_path, database, NOON) as found:
        await found.append(make_event("product.added", {"session_id": "s"}, id=f"cart-{name}", customer=name) for name in CUSTOMERS)
        await found.work_off()
        yield found


async def alter(desk: Desk, statement: str) -> None:
    """Change the database behind the service's back."""
    async with desk.database.transaction() as connection:
        await connection.execute(text(statement))


async def fired(desk: Desk) -> list[str]:
    """Return whose timers were fired."""
    return [row.customer for row in await desk.history() if row.kind == "timer"]


async def due_of(desk: Desk, customer: str) -> int:
    """Return when a customer's timers are looked at next."""
    rows = await desk.rows(f"SELECT next_due_at FROM customers WHERE customer = '{customer}'")  # noqa: S608 - a name from this file
    return int(rows[0][0])


async def test_a_timer_that_can_not_be_stored_is_parked(desk: Desk) -> None:
    """One customer's timers fail to be written: theirs wait an hour, the others fire, the service goes on; mended, it fires late."""
    await alter(desk, REFUSE_TIMER[desk.database.dialect])
    desk.clock.advance_to(NOON + HOUR)
    async with desk.running():
        await desk.drained()
    assert await fired(desk) == [name for name in CUSTOMERS if name != "c1"]
    assert await due_of(desk, "c1") == to_micros(NOON + 2 * HOUR)
    await alter(desk, ACCEPT_TIMER[desk.database.dialect])
    desk.clock.advance_to(NOON + 2 * HOUR)
    await desk.work_off()
    assert await fired(desk) == CUSTOMERS


async def test_a_due_customer_whose_document_can_not_be_read_is_parked(desk: Desk) -> None:
    """A damaged document holds up its own customer's timers only, and is left as it is."""
    await alter(desk, "UPDATE customers SET document = '{' WHERE customer = 'c1'")
    desk.clock.advance_to(NOON + HOUR)
    await desk.work_off()
    assert await fired(desk) == [name for name in CUSTOMERS if name != "c1"]
    assert await due_of(desk, "c1") == to_micros(NOON + 2 * HOUR)
    assert await desk.rows("SELECT document FROM customers WHERE customer = 'c1'") == [("{",)]
