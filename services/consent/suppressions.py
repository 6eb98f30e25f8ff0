"""Addresses that must not be used again, by channel: hard bounce, complaint, blocked bot. Table `suppressions`.

About the address, not the customer: whoever else gives the same address is not written to either.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from services.consent.locks import lock_for_changes
from services.contracts.ids import Channel, CustomerId, MessageId
from services.contracts.moments import to_micros
from services.runtime.bulk import BulkStatement

_ADD = BulkStatement(
    "INSERT INTO suppressions (channel, address, reason, customer, message_id, suppressed_at)"
    " SELECT channel, address, reason, customer, message_id, suppressed_at FROM {rows} WHERE true"
    " ON CONFLICT (channel, address) DO NOTHING",
    channel="text",
    address="text",
    reason="text",
    customer="text",
    message_id="text",
    suppressed_at="bigint",
)
_LOOK_UP = BulkStatement(
    "SELECT suppressions.channel, suppressions.address, reason FROM suppressions"
    " JOIN {rows} ON rows.channel = suppressions.channel AND rows.address = suppressions.address",
    channel="text",
    address="text",
)
EMAIL = Channel("email")


class Suppression(NamedTuple):
    """One address that must not be used: why (lower_snake), and whose message showed it."""

    channel: Channel
    address: str
    reason: str
    suppressed_at: datetime
    customer: CustomerId | None = None
    message_id: MessageId | None = None


async def add(connection: AsyncConnection, suppressions: Sequence[Suppression]) -> None:
    """Suppress addresses in the caller's transaction; the first reason stays. Harmless twice.

    Takes the consent lock of the addresses, alone, until the transaction's end: call it once a transaction.
    """
    if not suppressions:
        return
    rows = {(each.channel, normal_address(each.channel, each.address)): each for each in reversed(suppressions)}
    await lock_for_changes(connection, addresses=[address for _, address in rows])
    await _ADD.execute(
        connection,
        [(*key, each.reason, each.customer, each.message_id, to_micros(each.suppressed_at)) for key, each in sorted(rows.items())],
    )


async def look_up(connection: AsyncConnection, pairs: Iterable[tuple[Channel, str]]) -> Mapping[tuple[Channel, str], str]:
    """Return the reason of each (channel, address) that is suppressed, under the spelling that was asked for."""
    asked = {pair: (pair[0], normal_address(*pair)) for pair in pairs}
    found = await _LOOK_UP.execute(connection, sorted(set(asked.values())))
    reasons = {(row.channel, row.address): row.reason for row in found}
    return {pair: reasons[normal] for pair, normal in asked.items() if normal in reasons}


def normal_address(channel: Channel, address: str) -> str:
    """Return the spelling under which an address is kept and locked: mail providers ignore case, so do we; others as they are."""
    return address.strip().lower() if channel == EMAIL else address.strip()
