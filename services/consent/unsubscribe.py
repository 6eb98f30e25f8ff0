"""Unsubscribe: written before it is acknowledged, and nothing claimed after that goes out."""

from datetime import datetime

from services.consent import ledger
from services.consent.claims import UnsubscribeClaim
from services.consent.ledger import ConsentEntry, ConsentState
from services.consent.locks import lock_for_changes
from services.runtime import event_outbox
from services.runtime.database import Database


async def unsubscribe(database: Database, claim: UnsubscribeClaim, now: datetime, source: str, evidence: str) -> ConsentEntry:
    """Write the customer's unsubscription and the event that tells the rules of it, in one transaction; return the entry.

    When it returns, it may be acknowledged. It holds against every statement recorded before, also one that another clock dated later.
    `source` is `link` or `one_click`, `evidence` what proves it (message, address of the caller). Wake the event outbox's relay
    afterwards. Raises `DatabaseUnavailable`; the caller then answers 503 and the customer's program tries again. Harmless twice.
    """
    async with database.transaction() as connection:
        await lock_for_changes(connection, [claim.customer])
        stated = (await ledger.states_of(connection, [claim.customer])).get(claim.customer, {}).get((claim.channel, claim.topic))
        stated_at = now if stated is None else max(now, stated.stated_at)
        entry = ConsentEntry(claim.customer, claim.channel, ConsentState.UNSUBSCRIBED, stated_at, source, evidence, claim.topic)
        await ledger.record(connection, [entry], now)
        await event_outbox.put(connection, [ledger.event_of(entry, now)])
    return entry
