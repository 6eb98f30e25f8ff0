"""Unsubscribe: written before it is acknowledged, and nothing claimed after that goes out."""

from datetime import datetime

from services.consent import ledger
from services.consent.claims import UnsubscribeClaim
from services.consent.ledger import ConsentEntry, ConsentState
from services.consent.locks import lock_for_changes
from services.consent.statements import Proof, state
from services.runtime.database import Database


async def unsubscribe(database: Database, claim: UnsubscribeClaim, now: datetime, source: str, evidence: str) -> ConsentEntry:
    """Write the customer's unsubscription and the event that tells the rules of it, in one transaction; return the entry.

    When it returns, it may be acknowledged. It holds against every statement recorded before, also one that another clock dated later.
    `source` is `link` or `one_click`, `evidence` what proves it (message, address of the caller). Wake the event outbox's relay
    afterwards. Raises `DatabaseUnavailable`; the caller then answers 503 and the customer's program tries again. Harmless twice.
    """
    async with database.transaction() as connection:
        await lock_for_changes(connection, [claim.customer])
        before = (await ledger.states_of(connection, [claim.customer])).get(claim.customer, {})
        said = {(claim.channel, claim.topic): ConsentState.UNSUBSCRIBED}
        (entry,) = await state(connection, claim.customer, said, before, Proof(now, source, evidence))
    return entry
