"""The ledger of consents: every statement of a customer for ever, and the state that follows from them.

Tables `consent_ledger` (appended to, never changed) and `consents` (the newest statement of each customer, channel and topic).
A later statement wins; of two at the same moment, `unsubscribed` does.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import uuid5

from sqlalchemy.ext.asyncio import AsyncConnection

from services.consent.locks import lock_for_changes
from services.contracts.events import Event
from services.contracts.ids import NAMESPACE, Channel, CustomerId, EventId
from services.contracts.moments import from_micros, to_micros
from services.contracts.partitioning import bucket_of
from services.runtime.bulk import BulkStatement
from services.runtime.texts import storable

ALL_TOPICS = "all"
"""The topic of a statement about a whole channel."""
ALL_CHANNELS = Channel("all")
"""The channel of a statement about all of them."""
EVENT_TYPE = "povod.consent"
EVENT_SOURCE = "povod/consent"
_APPEND = BulkStatement(
    "INSERT INTO consent_ledger"
    " (bucket, entry, customer, channel, topic, state, stated_at, source, evidence, recorded_at)"
    " SELECT bucket, entry, customer, channel, topic, state, stated_at, source, evidence, :recorded_at FROM {rows} WHERE true"
    " ON CONFLICT (bucket, entry) DO NOTHING",
    bucket="integer",
    entry="text",
    customer="text",
    channel="text",
    topic="text",
    state="text",
    stated_at="bigint",
    source="text",
    evidence="text",
)
_UPDATE = BulkStatement(
    "INSERT INTO consents (bucket, customer, channel, topic, state, stated_at)"
    " SELECT bucket, customer, channel, topic, state, stated_at FROM {rows} WHERE true"
    " ON CONFLICT (bucket, customer, channel, topic) DO UPDATE SET state = excluded.state, stated_at = excluded.stated_at"
    " WHERE excluded.stated_at > consents.stated_at"
    " OR (excluded.stated_at = consents.stated_at AND excluded.state = 'unsubscribed')",
    bucket="integer",
    customer="text",
    channel="text",
    topic="text",
    state="text",
    stated_at="bigint",
)
_STATES = BulkStatement(
    "SELECT consents.customer, channel, topic, state, stated_at FROM consents"
    " JOIN {rows} ON rows.bucket = consents.bucket AND rows.customer = consents.customer",
    bucket="integer",
    customer="text",
)


class ConsentState(StrEnum):
    """What a customer said."""

    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"


class Consent(NamedTuple):
    """What holds now for one customer, channel and topic; `stated_at` is aware UTC."""

    state: ConsentState
    stated_at: datetime


class ConsentEntry(NamedTuple):
    """One statement: who, about what, when (aware UTC), through which `source` (`link`, `one_click`, `event:<id>`), with which evidence."""

    customer: CustomerId
    channel: Channel
    state: ConsentState
    stated_at: datetime
    source: str
    evidence: str = ""
    topic: str = ALL_TOPICS

    @property
    def id(self) -> str:
        """The entry's id (UUIDv5): the same statement recorded twice is one entry."""
        parts = ("consent", self.customer, self.channel, self.topic, self.state, str(to_micros(self.stated_at)), self.source)
        return str(uuid5(NAMESPACE, "\x1f".join(parts)))


async def record(connection: AsyncConnection, entries: Sequence[ConsentEntry], recorded_at: datetime) -> None:
    """Append statements to the ledger and update the states that they change, in the caller's transaction.

    Takes the consent lock of their customers, alone, until the transaction's end: call it once a transaction. Harmless twice.
    """
    if not entries:
        return
    await lock_for_changes(connection, [entry.customer for entry in entries])
    appended = [(bucket_of(entry.customer), entry.id, *_stated(entry), entry.source, storable(entry.evidence)) for entry in entries]
    await _APPEND.execute(connection, appended, {"recorded_at": to_micros(recorded_at)})
    await _UPDATE.execute(connection, [(bucket_of(entry.customer), *_stated(entry)) for entry in _newest(entries)])


async def states_of(
    connection: AsyncConnection, customers: Iterable[CustomerId]
) -> Mapping[CustomerId, Mapping[tuple[Channel, str], Consent]]:
    """Return what each of these customers has stated, by (channel, topic); who has stated nothing is not in the answer."""
    rows = [(bucket_of(customer), customer) for customer in dict.fromkeys(customers)]
    found: dict[CustomerId, dict[tuple[Channel, str], Consent]] = {}
    for row in await _STATES.execute(connection, rows):
        consent = Consent(ConsentState(row.state), from_micros(row.stated_at))
        found.setdefault(row.customer, {})[row.channel, row.topic] = consent
    return found


def event_of(entry: ConsentEntry, recorded_at: datetime) -> Event:
    """Return the `povod.consent` event that tells the rules of a statement; its id is the entry's, so telling it twice is once."""
    return Event(
        id=EventId(f"consent:{entry.id}"),
        type=EVENT_TYPE,
        source=EVENT_SOURCE,
        subject=entry.customer,
        time=entry.stated_at,
        receivedtime=recorded_at,
        data={
            "channel": entry.channel,
            "state": str(entry.state),
            "topic": entry.topic,
            "at": entry.stated_at.isoformat(),
            "source": entry.source,
        },
    )


def _stated(entry: ConsentEntry) -> tuple[str, str, str, str, int]:
    return entry.customer, entry.channel, entry.topic, str(entry.state), to_micros(entry.stated_at)


def _newest(entries: Iterable[ConsentEntry]) -> list[ConsentEntry]:
    """Return the winner of each customer, channel and topic: one statement can't update a row twice."""
    ranked = sorted(entries, key=lambda entry: (entry.stated_at, entry.state == ConsentState.UNSUBSCRIBED))
    return list({(entry.customer, entry.channel, entry.topic): entry for entry in ranked}.values())
