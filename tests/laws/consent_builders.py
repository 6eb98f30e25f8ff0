"""Statements and claims for the laws of consent."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.consent.ledger import ALL_TOPICS, ConsentEntry, ConsentState, states_of
from services.contracts.ids import Channel, CustomerId

ANN, BOB = CustomerId("ann"), CustomerId("bob")
EMAIL, SMS = Channel("email"), Channel("sms")
ON, OFF = ConsentState.SUBSCRIBED, ConsentState.UNSUBSCRIBED
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def minute(number: int) -> datetime:
    """Return a time that many minutes after noon."""
    return NOON + timedelta(minutes=number)


def entry(state: ConsentState, at: int, customer: CustomerId = ANN, channel: Channel = EMAIL, topic: str = ALL_TOPICS) -> ConsentEntry:
    """Return a statement made `at` minutes after noon."""
    return ConsentEntry(customer, channel, state, minute(at), "test", "signed form", topic)


async def left_by_mail(connection: AsyncConnection, customers: Sequence[CustomerId]) -> set[CustomerId]:
    """Return those who want no e-mail at all any more."""
    found = await states_of(connection, customers)
    return {customer for customer, states in found.items() if (EMAIL, ALL_TOPICS) in states and states[EMAIL, ALL_TOPICS].state is OFF}
