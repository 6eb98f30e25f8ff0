"""Writing down what a batch led to, in the order of the protocol's step 4; one statement a table."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.consent import ledger
from services.contracts.moments import to_micros
from services.rules import store
from services.rules.core.document import CustomerDocument
from services.rules.core.effects import GrantConsent
from services.rules.turnover import Turnover

Sized = tuple[CustomerDocument, int]
"""A document and the bytes of its stored form."""


async def apply(connection: AsyncConnection, partition: int, turnover: Turnover) -> list[Sized]:
    """Write documents, history, decisions, outbox and consents; return the documents that were stored."""
    decided_at, ruleset = to_micros(turnover.now), turnover.ruleset.hash
    documents, rows = [], []
    for document, row in turnover.changed():
        documents.append((document, len(row.document)))
        rows.append(row)
    await store.save_customers(connection, rows)
    await store.append_history(connection, turnover.history, decided_at, ruleset)
    await store.append_decisions(connection, turnover.decisions, decided_at, ruleset)
    await store.append_outbox(connection, partition, turnover.outbox)
    await ledger.record(connection, entries_of(turnover.consents), turnover.now)
    return documents


def entries_of(consents: Sequence[GrantConsent]) -> list[ledger.ConsentEntry]:
    """Return what events stated as entries of the consent ledger."""
    return [
        ledger.ConsentEntry(grant.customer, grant.channel, ledger.ConsentState(grant.state), grant.at, grant.source, grant.evidence)
        for grant in consents
    ]
