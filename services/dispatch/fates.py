"""Reading the journal: what became of the messages to a customer."""

from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.ids import Channel, CustomerId, JourneyName, MessageId
from services.contracts.moments import from_micros

_OF_CUSTOMER = text(
    "SELECT message_id, state, template, recipient, attempt, due_at, ended_at, reason, detail, provider_id FROM deliveries"
    " WHERE customer = :customer"
)

_TALLY = text(
    "SELECT journey, channel, state, count(*) AS n FROM deliveries GROUP BY journey, channel, state ORDER BY journey, channel, state"
)


class FateTally(NamedTuple):
    """How many messages of a journey on a channel have come so far."""

    journey: JourneyName
    channel: Channel
    state: str
    times: int


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """How far one message has come. `state` is the journal's word; `due_at` is set while it waits, `ended_at` once it is over."""

    state: str
    template: str
    recipient: str
    attempt: int
    due_at: datetime | None
    ended_at: datetime | None
    reason: str | None
    detail: str | None
    provider_id: str | None


async def fates_of(connection: AsyncConnection, customer: CustomerId) -> dict[MessageId, Fate]:
    """Return the fate of every message to a customer that dispatch has taken in."""
    rows = await connection.execute(_OF_CUSTOMER, {"customer": customer})
    return {
        MessageId(row.message_id): Fate(
            state=row.state,
            template=row.template,
            recipient=row.recipient,
            attempt=row.attempt,
            due_at=_moment(row.due_at),
            ended_at=_moment(row.ended_at),
            reason=row.reason,
            detail=row.detail,
            provider_id=row.provider_id,
        )
        for row in rows
    }


async def tally_of_fates(connection: AsyncConnection) -> list[FateTally]:
    """Count the whole journal by journey, channel and state. Reads every delivery: not for a busy hour."""
    rows = await connection.execute(_TALLY)
    return [FateTally(JourneyName(row.journey), Channel(row.channel), row.state, row.n) for row in rows]


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
