"""Gather, decide, apply: one fenced transaction a batch and partition."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.ids import CustomerId
from services.contracts.moments import from_micros, to_micros
from services.rules import store
from services.rules.activation import ActiveRulesets
from services.rules.applying import apply
from services.rules.cache import DocumentCache
from services.rules.conflicts import count_conflicts
from services.rules.core.document import CustomerDocument, decode_document
from services.rules.intake import Accepted, Misplaced, Refused, Sorted
from services.rules.packing import unpack
from services.rules.turnover import Turnover
from services.runtime import cursors, dead_letters
from services.runtime.clock import Clock
from services.runtime.cursors import Cursor
from services.runtime.database import Database
from services.runtime.dead_letters import DeadLetter

NEVER = 2**62
"""When the next timer is due where there is none."""
TIMERS = 1_000
"""Customers whose timers one transaction fires, besides those of its records."""
_TURN = 200
"""Records decided without a pause."""


class Work(NamedTuple):
    """What one transaction does: decide these records, move the cursor behind them, fire timers.

    `partitions` is the topic's count. `caught_up_at`: nothing lay behind these records at that time. `timers`: how many customers'
    due timers to fire after the records. `due_at`: no timer of the partition is due before that (microseconds). `park`: why the first of
    these customers is to be left alone for an hour instead; neither read nor decided.
    """

    records: Sequence[Sorted]
    next_offset: int
    partitions: int
    caught_up_at: datetime | None = None
    timers: int = TIMERS
    due_at: int = 0
    park: str = ""


class Done(NamedTuple):
    """What one committed transaction led to. `due_at`: no timer of the partition is due before that."""

    cursor: Cursor
    turnover: Turnover
    due_at: int


class Worker:
    """Works off batches. One a process; may be used by several partitions at once."""

    def __init__(self, database: Database, clock: Clock, rulesets: ActiveRulesets, cache: DocumentCache) -> None:
        self._database = database
        self._clock = clock
        self._rulesets = rulesets
        self._cache = cache

    def now(self) -> datetime:
        """Return the clock's time."""
        return self._clock.now()

    def forget(self, partition: int) -> None:
        """Drop what is held of a partition in memory."""
        self._cache.drop(partition)

    async def work(self, cursor: Cursor, work: Work) -> Done:
        """Decide one batch, exactly once, in this order.

        1. Move the cursor on: one row, named with our epoch and the offset from which we began. No such row: `Fenced`, roll back.
        2. Read which rule set is active; load the documents of the batch's customers (those in the cache are at hand).
        3. Decide: each customer's inputs in order, timers up to the frontier before each record, then those of the partition.
        4. Write documents, history, decisions, outbox, consents, dead letters; give the cursor its outbox number and frontier.
        5. Commit. Only then the documents go into the cache; the relay publishes the outbox and deletes it after the acknowledgement.

        Raises `Fenced`, `DatabaseUnavailable` (the commit's result may be unknown: reread the cursor), `Fatal`, and whatever a record
        that can't be decided raises: then nothing was written.
        """
        partition = cursor.partition.partition
        now = max(self.now(), from_micros(cursor.frontier_at))
        async with self._database.transaction() as connection:
            await cursors.advance(connection, cursor, cursor._replace(next_offset=work.next_offset))  # 1
            turnover = await self._gather(connection, cursor, work, now)  # 2
            await self._take_all(turnover, work, cursor)  # 3
            due_at = await self._fire_timers(connection, turnover, cursor, work)
            documents = await apply(connection, partition, turnover)  # 4
            if turnover.repeats:
                turnover.counts["conflicting_duplicate"] += await count_conflicts(connection, turnover.repeats)
            dead = [DeadLetter(each.record, each.reason, each.error, now) for each in work.records if isinstance(each, Refused)]
            await dead_letters.put(connection, dead)
            moved = cursor._replace(
                next_offset=work.next_offset,
                outbox_seq=cursor.outbox_seq + len(turnover.outbox),
                frontier_at=turnover.frontier,
            )
            await cursors.settle(connection, moved)
        for document, size in documents:  # 5: committed
            self._cache.put(partition, document, size)
        return Done(moved, turnover, due_at)

    async def _gather(self, connection: AsyncConnection, cursor: Cursor, work: Work, now: datetime) -> Turnover:
        ruleset = await self._rulesets.current(connection)
        accepted = [each for each in work.records if isinstance(each, Accepted)]
        documents = await self._load(connection, cursor.partition.partition, (each.event.subject for each in accepted))
        turnover = Turnover(ruleset, now, cursor.frontier_at, documents, cursor.outbox_seq)
        turnover.note_known(await store.known_inputs(connection, turnover.uncertain(accepted)))
        return turnover

    async def _take_all(self, turnover: Turnover, work: Work, cursor: Cursor) -> None:
        """Decide the records; other tasks get a turn now and then, so that a large batch does not keep them waiting."""
        for number, each in enumerate(work.records, 1):
            self._take(turnover, each, cursor)
            if number % _TURN == 0:
                await asyncio.sleep(0)

    def _take(self, turnover: Turnover, given: Sorted, cursor: Cursor) -> None:
        if isinstance(given, Accepted):
            turnover.take(given)
        elif isinstance(given, Misplaced):
            turnover.queue(cursor.partition.topic, given.event.subject, given.payload, given.event.traceparent)

    async def _load(
        self, connection: AsyncConnection, partition: int, customers: Iterable[CustomerId]
    ) -> dict[CustomerId, CustomerDocument]:
        """Return the documents of those customers who have one: from the cache, else from the table."""
        wanted = dict.fromkeys(customers)
        found = {customer: document for customer in wanted if (document := self._cache.get(partition, customer)) is not None}
        stored = await store.load_documents(connection, (customer for customer in wanted if customer not in found))
        found.update((customer, decode_document(unpack(document))) for customer, document in stored.items())
        return found

    async def _fire_timers(self, connection: AsyncConnection, turnover: Turnover, cursor: Cursor, work: Work) -> int:
        """Fire what is due up to the frontier, first of the customers at hand, then of the partition; return when the next is due."""
        if work.caught_up_at is not None:
            turnover.move_frontier(to_micros(work.caught_up_at))
        next_due = work.due_at
        if work.timers:
            for customer in turnover.due_customers():
                turnover.fire(customer)
            if work.due_at <= turnover.frontier:
                next_due = await self._fire_stored(connection, turnover, cursor, work)
        return min(next_due, turnover.earliest_due(NEVER))

    async def _fire_stored(self, connection: AsyncConnection, turnover: Turnover, cursor: Cursor, work: Work) -> int:
        partition = cursor.partition.partition
        rows = await store.due_customers(connection, work.partitions, partition, work.timers)
        due = [row.customer for row in rows if row.due_at <= turnover.frontier]
        if work.park:
            for customer in due[:1]:
                await store.postpone(connection, customer, turnover.note_parked(customer, work.park))
            return turnover.frontier
        turnover.add_documents(await self._load(connection, partition, (customer for customer in due if customer not in turnover)))
        for customer in due:
            turnover.fire(customer)
            turnover.touch(customer)
        later = (row.due_at for row in rows if row.due_at > turnover.frontier)
        return next(later, NEVER if len(rows) < work.timers else turnover.frontier)
