"""What stands against messages, read under the consent lock of their customers and addresses.

An unsubscribe from a whole channel (or from all) stops every message on it, of whatever kind; one of the topic `marketing` leaves service
messages alone, and so does one of a topic of the shop's own, which stops the messages that carry it as a tag. A suppressed address gets
nothing.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.consent import ledger, locks, suppressions
from services.consent.ledger import ALL_CHANNELS, ALL_TOPICS, Consent, ConsentState
from services.contracts.ids import Channel, MessageId
from services.contracts.messages import Kind, Message
from services.dispatch import holds
from services.dispatch.verdicts import Facts

MARKETING = "marketing"


async def read_facts(connection: AsyncConnection, messages: Sequence[Message], channel: Channel, provider: str) -> Facts:
    """Take the consent lock, shared, then read, each in a statement of its own. The order is what makes an unsubscribe win."""
    customers = {message.customer for message in messages}
    addresses = {message.recipient for message in messages}
    await locks.lock_for_claims(connection, customers, addresses)
    consents = await ledger.states_of(connection, customers)
    suppressed = await suppressions.look_up(connection, [(channel, address) for address in addresses])
    switches = await holds.read_for_claim(connection)
    refusals: dict[MessageId, str] = {}
    for message in messages:
        if has_unsubscribed(message, consents.get(message.customer, {})):
            refusals[message.message_id] = "unsubscribed"
        elif (channel, message.recipient) in suppressed:
            refusals[message.message_id] = "suppressed"
    return Facts(refusals, switches, provider)


def has_unsubscribed(message: Message, states: Mapping[tuple[Channel, str], Consent]) -> bool:
    """Say whether the customer's latest statements forbid this message."""
    topics = (ALL_TOPICS,) if message.kind is Kind.SERVICE else (ALL_TOPICS, MARKETING, *message.tags)
    found = (states.get((channel, topic)) for channel in (message.channel, ALL_CHANNELS) for topic in topics)
    return any(consent is not None and consent.state is ConsentState.UNSUBSCRIBED for consent in found)
