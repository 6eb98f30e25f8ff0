"""Reading the decision ledger: what was decided about a customer, and why. Writing it is the store's part of the fenced transaction."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.decisions import Decision, Reason, Verdict
from services.contracts.ids import Channel, ContentHash, CustomerId, JourneyName, MessageId, StepId
from services.contracts.moments import from_micros
from services.contracts.partitioning import bucket_of
from services.rules.core.document import CustomerDocument, decode_document

_DECISIONS = text(
    "SELECT decided_at, journey, key, step, ruleset, input_id, verdict, reason, channel, message_id, detail FROM decisions"
    " WHERE bucket = :bucket AND customer = :customer AND (:journey = '' OR journey = :journey)"
    " AND (:message = '' OR message_id = :message) ORDER BY seq, n"
)
_DOCUMENT = text("SELECT document FROM customers WHERE bucket = :bucket AND customer = :customer")
_NEIGHBOURS = text("SELECT customer FROM customers WHERE customer >= :first AND customer < :last ORDER BY customer LIMIT 10000")
_SHARED_PREFIX = 2
"""A slip in an id is looked for among the ids that begin with the same letters."""


async def decisions_of(connection: AsyncConnection, customer: CustomerId, journey: str = "", message: str = "") -> list[Decision]:
    """Return a customer's decisions in the order in which they were taken, of one journey or about one message where these are named."""
    filters = {"bucket": bucket_of(customer), "customer": customer, "journey": journey, "message": message}
    return [_decision(customer, row) for row in await connection.execute(_DECISIONS, filters)]


async def document_of(connection: AsyncConnection, customer: CustomerId) -> CustomerDocument | None:
    """Return what is known of a customer; None where nothing is. Raises as `decode_document` does."""
    stored = (await connection.execute(_DOCUMENT, {"bucket": bucket_of(customer), "customer": customer})).scalar_one_or_none()
    return None if stored is None else decode_document(stored)


async def similar_customers(connection: AsyncConnection, customer: str) -> Sequence[str]:
    """Return up to three known ids that may have been meant."""
    prefix = customer[:_SHARED_PREFIX]
    last = prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else ""
    known = (await connection.execute(_NEIGHBOURS, {"first": prefix, "last": last})).scalars().all()
    return get_close_matches(customer, known, n=3)


def _decision(customer: CustomerId, row: Any) -> Decision:
    return Decision(
        at=from_micros(row.decided_at),
        customer=customer,
        journey=JourneyName(row.journey),
        key=row.key,
        step=StepId(row.step),
        ruleset=ContentHash(row.ruleset),
        input_id=row.input_id,
        verdict=Verdict(row.verdict),
        reason=Reason(row.reason),
        detail=msgspec.json.decode(row.detail),
        channel=None if row.channel is None else Channel(row.channel),
        message_id=None if row.message_id is None else MessageId(row.message_id),
    )
