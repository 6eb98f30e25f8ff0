"""Double opt-in: whoever reads an address has said so there, and from then on its channel is allowed."""

from services.consent import ledger
from services.consent.claims import ConfirmationClaim
from services.consent.ledger import ALL_TOPICS, ConsentEntry, ConsentState
from services.consent.locks import lock_for_changes
from services.consent.statements import Proof, state
from services.runtime.database import Database


async def confirm(database: Database, claim: ConfirmationClaim, proof: Proof) -> ConsentEntry:
    """Write that the customer is subscribed to the channel, and the event that tells the rules, in one transaction; return the entry.

    When it returns, it may be acknowledged. It holds against every statement recorded before. Wake the event outbox's relay afterwards.
    Raises `DatabaseUnavailable`. Harmless twice.
    """
    async with database.transaction() as connection:
        await lock_for_changes(connection, [claim.customer])
        before = (await ledger.states_of(connection, [claim.customer])).get(claim.customer, {})
        said = {(claim.channel, ALL_TOPICS): ConsentState.SUBSCRIBED}
        (entry,) = await state(connection, claim.customer, said, before, proof)
    return entry
