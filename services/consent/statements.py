"""State something about consent so that it holds from now on: written, and told to the rules, in one transaction."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from services.consent import ledger
from services.consent.ledger import Consent, ConsentEntry, ConsentState
from services.contracts.ids import Channel, CustomerId
from services.runtime import event_outbox

Key = tuple[Channel, str]
_MOMENT = timedelta(microseconds=1)


class Proof(NamedTuple):
    """When (aware UTC) and through what a statement was made (`link`, `one_click`, ...), and what shows it."""

    now: datetime
    source: str
    evidence: str


async def state(
    connection: AsyncConnection, customer: CustomerId, said: Mapping[Key, ConsentState], before: Mapping[Key, Consent], proof: Proof
) -> list[ConsentEntry]:
    """Record what the customer says now of each (channel, topic) and put the events that tell the rules into the outbox.

    `before` is what he had stated, read under the consent lock of the same transaction: a new statement holds against it also where
    another clock dated that one later. Harmless twice. Returns the entries.
    """
    entries = [
        ConsentEntry(customer, channel, said_now, _holding(before.get((channel, topic)), said_now, proof.now), *proof[1:], topic)
        for (channel, topic), said_now in said.items()
    ]
    await ledger.record(connection, entries, proof.now)
    await event_outbox.put(connection, [ledger.event_of(entry, proof.now) for entry in entries])
    return entries


def _holding(before: Consent | None, said: ConsentState, now: datetime) -> datetime:
    """Return the moment at which the statement wins: of two at the same moment `unsubscribed` does."""
    if before is None or before.stated_at < now:
        return now
    return before.stated_at if said is ConsentState.UNSUBSCRIBED else before.stated_at + _MOMENT
