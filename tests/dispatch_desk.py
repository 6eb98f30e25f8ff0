"""Everything a test of the journal needs around one database: clocks that stand still, an inbox without a log, journals."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Row, text

from services.consent import ledger
from services.consent.ledger import ConsentEntry, ConsentState
from services.contracts.codec import decode_event
from services.contracts.events import Event
from services.contracts.ids import Channel
from services.contracts.messages import Command
from services.dispatch.channels.port import Answer
from services.dispatch.inbox import Inbox
from services.dispatch.journal import Claimed, Journal, Judged
from services.dispatch.states import Delivery
from services.dispatch.verdicts import RetryPolicy, settle
from services.runtime.clock import FrozenClock
from services.runtime.database import Database
from services.runtime.dead_letters import DeadLetterLimit
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.eventlog.port import TopicPartition
from tests.dispatch_builders import EMAIL, PARTITION, START, make_batch, make_message

POLICY = RetryPolicy(max_attempts=3, base=timedelta(seconds=30), cap=timedelta(hours=1))
LEASE = timedelta(seconds=60)
"""How long `Desk.begin` lets a sending take."""


class _UnreadLog(EmbeddedEventLog):
    """A log that begins at 0 and is never read: the desk hands the inbox its batches."""

    async def bounds(self, partition: TopicPartition) -> tuple[int, int]:  # noqa: ARG002 - the port's
        """Return an empty range."""
        return 0, 0


LIMIT = DeadLetterLimit(most=1_000, within=timedelta(minutes=5))


class Desk:
    """One database, one inbox; `clock` is business time, `machine` what leases are measured by."""

    def __init__(self, database: Database, limit: DeadLetterLimit = LIMIT) -> None:
        self.database = database
        self.clock = FrozenClock(START)
        self.machine = FrozenClock(START)
        self.woken = 0
        self.reported = 0
        self._offset = 0
        log = _UnreadLog(Path("never-opened"), {}, self.clock)
        self.inbox = Inbox(log, database, self.clock, "worker", self._wake, limit)

    async def take(self, *commands: Command | bytes) -> None:
        """Put commands through the inbox as the next batch of a partition."""
        if not self._offset:
            await self.inbox.on_assigned([PARTITION])
        batch = make_batch(*commands, first=self._offset)
        await self.inbox.take(PARTITION, batch)
        self._offset = batch.next_offset

    def journal(self, channel: Channel = EMAIL, provider: str = "smtp") -> Journal:
        """Return a journal of a channel, as a worker has one."""
        return Journal(self.database, self.clock, self.machine, channel, provider, self._report)

    async def claim(self, token: str = "worker/run/email/1", limit: int = 100) -> Sequence[Delivery]:
        """Claim what is due on e-mail."""
        return (await self.claimed(token, limit)).claim.deliveries

    async def claimed(self, token: str = "worker/run/email/1", limit: int = 100) -> Claimed:
        """Claim what is due on e-mail, and tell how many others were met."""
        return await self.journal().claim(token, limit)

    async def begin(self, token: str = "worker/run/email/1", lease: timedelta = LEASE) -> list[Delivery]:
        """Claim what is due on e-mail and write that sending begins."""
        return await self.journal().begin(token, await self.claim(token), lease)

    async def answer(self, answer: Answer, token: str = "worker/run/email/1", *, at_most_once: bool = False) -> int:
        """Claim and begin what is due, and settle it all with one answer; return how many rows were written."""
        return await self.settle(await self.begin(token), answer, token, at_most_once=at_most_once)

    async def settle(
        self, begun: Sequence[Delivery], answer: Answer, token: str = "worker/run/email/1", *, at_most_once: bool = False
    ) -> int:
        """Settle deliveries with one answer."""
        now = self.clock.now()
        verdicts = [settle(delivery, answer, now, POLICY, Random(7), at_most_once=at_most_once) for delivery in begun]
        judged = [(token, Judged(delivery=delivery, verdict=verdict)) for delivery, verdict in zip(begun, verdicts, strict=True)]
        return await self.journal().settle(judged)

    async def row(self, message_id: str) -> Row[Any]:
        """Return a delivery's row."""
        async with self.database.reading() as connection:
            return (await connection.execute(text("SELECT * FROM deliveries WHERE message_id = :id"), {"id": message_id})).one()

    async def states(self) -> dict[str, str]:
        """Return the state of every delivery by message id."""
        async with self.database.reading() as connection:
            return {row.message_id: row.state for row in await connection.execute(text("SELECT message_id, state FROM deliveries"))}

    async def outcomes(self) -> list[Event]:
        """Return every outcome in the outbox, by id."""
        async with self.database.reading() as connection:
            rows = await connection.execute(text("SELECT value FROM event_outbox ORDER BY id"))
            return [decode_event(row.value.encode()) for row in rows]

    async def outcome_ids(self) -> list[str]:
        """Return the ids of the outcomes."""
        return [event.id for event in await self.outcomes()]

    def advance(self, to: datetime | timedelta) -> None:
        """Move both clocks."""
        for clock in (self.clock, self.machine):
            clock.advance_to(to if isinstance(to, datetime) else clock.now() + to)

    def _wake(self) -> None:
        self.woken += 1

    def _report(self) -> None:
        self.reported += 1


async def consent(desk: Desk, state: ConsentState, channel: str = EMAIL, topic: str = "all", *, minutes: int = -60) -> None:
    """Record a statement of Ann's, `minutes` after the start."""
    stated_at = START + timedelta(minutes=minutes)
    entry = ConsentEntry(make_message().customer, Channel(channel), state, stated_at, "test", "", topic)
    async with desk.database.transaction() as connection:
        await ledger.record(connection, [entry], stated_at)
