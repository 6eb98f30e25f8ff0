"""Unsubscribes racing claims: whoever was told that he is unsubscribed gets nothing that was claimed after that."""

import asyncio
from datetime import UTC, datetime

from sqlalchemy import text

from services.consent.claims import UnsubscribeClaim
from services.consent.unsubscribe import unsubscribe
from services.contracts.ids import CustomerId
from services.contracts.moments import to_micros
from services.dispatch.journal import Journal
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from tests.dispatch_builders import EMAIL, make_message
from tests.dispatch_desk import Desk

CUSTOMERS, MESSAGES_EACH, CLAIMERS = 40, 10, 8


async def test_no_message_is_claimed_after_the_acknowledgement_of_an_unsubscribe(database: Database) -> None:
    """Eight claimers against forty unsubscribes: no row was claimed after its customer's unsubscribe had returned."""
    clock = SystemClock()
    desk = Desk(database)
    start = clock.now()
    desk.clock.advance_to(start)
    messages = [make_message(f"m-{c}-{n}", customer=f"c{c}", not_before=start) for n in range(MESSAGES_EACH) for c in range(CUSTOMERS)]
    await desk.take(*messages)
    acknowledged_at: dict[str, int] = {}
    done = asyncio.Event()

    async def claim_all(worker: int) -> None:
        journal = Journal(database, clock, clock, EMAIL, "smtp", lambda: None)
        claims = 0
        while not done.is_set() or (await journal.next_due_at()) is not None:
            claims += 1
            await journal.claim(f"{worker}/1/email/{claims}", 5)

    async def unsubscribe_all() -> None:
        for c in range(CUSTOMERS):
            await unsubscribe(database, UnsubscribeClaim(CustomerId(f"c{c}"), EMAIL), datetime.now(UTC), "link", "")
            acknowledged_at[f"c{c}"] = to_micros(datetime.now(UTC))
        done.set()

    await asyncio.gather(unsubscribe_all(), *(claim_all(worker) for worker in range(CLAIMERS)))
    async with database.reading() as connection:
        rows = (await connection.execute(text("SELECT customer, state, claimed_at FROM deliveries"))).all()
    late = [row for row in rows if row.state == "claimed" and row.claimed_at > acknowledged_at[row.customer]]
    states = [row.state for row in rows]
    assert late == []
    assert states.count("claimed") + states.count("refused") == CUSTOMERS * MESSAGES_EACH
    assert states.count("refused") > 0
