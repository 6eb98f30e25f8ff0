"""Reading the decision ledger and the history: what was decided about a customer, and why. Writing is the store's part."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.decisions import Decision, Reason, Verdict
from services.contracts.ids import Channel, ContentHash, CustomerId, JourneyName, MessageId, StepId
from services.contracts.moments import from_micros
from services.contracts.partitioning import bucket_of
from services.rules.core.document import CustomerDocument, decode_document
from services.rules.packing import unpack

_DECISIONS = text(
    "SELECT decided_at, journey, key, step, ruleset, input_id, verdict, reason, channel, message_id, detail FROM decisions"
    " WHERE bucket = :bucket AND customer = :customer AND (:journey = '' OR journey = :journey)"
    " AND (:message = '' OR message_id = :message) ORDER BY seq, n"
)
_DOCUMENT = text("SELECT document FROM customers WHERE bucket = :bucket AND customer = :customer")
_NEIGHBOURS = text("SELECT customer FROM customers WHERE customer >= :first AND customer < :last ORDER BY customer LIMIT 10000")
_TALLY = text(
    "SELECT journey, verdict, reason, coalesce(channel, '') AS channel, count(*) AS n FROM decisions"
    " GROUP BY journey, verdict, reason, coalesce(channel, '') ORDER BY journey, verdict, reason, channel"
)
_TELLING = text(
    "SELECT customer FROM decisions GROUP BY customer"
    " ORDER BY count(DISTINCT CASE WHEN verdict = 'sent' THEN channel END) DESC, count(DISTINCT reason) DESC, count(*), customer LIMIT 1"
)
_HISTORY = text("SELECT customer, kind, payload, decided_at FROM history ORDER BY bucket, customer, seq")
_SHARED_PREFIX = 2
"""A slip in an id is looked for among the ids that begin with the same letters."""


class Tally(NamedTuple):
    """How many decisions of a journey ended one way; `channel` is empty where none was chosen."""

    journey: JourneyName
    verdict: Verdict
    reason: Reason
    channel: Channel
    times: int


class Told(NamedTuple):
    """One input as history keeps it: `payload` is an event's JSON, or `{"due_at": ...}` of a timer (`kind`)."""

    customer: CustomerId
    kind: str
    payload: str
    decided_at: datetime


async def tally(connection: AsyncConnection) -> list[Tally]:
    """Count the whole ledger by journey, verdict, reason and channel. Reads every decision: not for a busy hour."""
    rows = await connection.execute(_TALLY)
    return [Tally(JourneyName(row.journey), Verdict(row.verdict), Reason(row.reason), Channel(row.channel), row.n) for row in rows]


async def most_telling_customer(connection: AsyncConnection) -> CustomerId | None:
    """Return who was written to on the most channels and met the most reasons; None while nothing was decided. Reads every decision."""
    return (await connection.execute(_TELLING)).scalar_one_or_none()


async def history(connection: AsyncConnection) -> AsyncIterator[Told]:
    """Yield every input of every customer, each customer's together and in the order in which they were decided."""
    async for row in await connection.stream(_HISTORY):
        yield Told(CustomerId(row.customer), row.kind, row.payload, from_micros(row.decided_at))


async def decisions_of(connection: AsyncConnection, customer: CustomerId, journey: str = "", message: str = "") -> list[Decision]:
    """Return a customer's decisions in the order in which they were taken, of one journey or about one message where these are named."""
    filters = {"bucket": bucket_of(customer), "customer": customer, "journey": journey, "message": message}
    return [_decision(customer, row) for row in await connection.execute(_DECISIONS, filters)]


async def document_of(connection: AsyncConnection, customer: CustomerId) -> CustomerDocument | None:
    """Return what is known of a customer; None where nothing is. Raises as `decode_document` does."""
    stored = (await connection.execute(_DOCUMENT, {"bucket": bucket_of(customer), "customer": customer})).scalar_one_or_none()
    return None if stored is None else decode_document(unpack(stored))


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
