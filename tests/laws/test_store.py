"""Laws of the store, on both databases: the fence, a batch whole or not at all, claims against unsubscriptions."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import NamedTuple

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.consent import ledger, suppressions
from services.consent.claims import UnsubscribeClaim
from services.consent.locks import lock_for_claims
from services.consent.suppressions import Suppression
from services.consent.unsubscribe import unsubscribe
from services.contracts.errors import Fenced
from services.contracts.ids import CustomerId
from services.runtime import cursors, dead_letters, event_outbox
from services.runtime.cursors import Cursor
from services.runtime.database import Database
from services.runtime.dead_letters import DeadLetter
from services.runtime.eventlog.port import Record, TopicPartition
from tests.laws.consent_builders import ANN, EMAIL, NOON, OFF, entry, left_by_mail, minute

PARTITION = TopicPartition("povod.events", 3)
Step = Callable[[AsyncConnection], Awaitable[object]]


async def take(database: Database, owner: str) -> Cursor:
    """Take the partition."""
    async with database.transaction() as connection:
        return await cursors.acquire(connection, PARTITION, owner)


async def move(database: Database, cursor: Cursor, next_offset: int) -> Cursor:
    """Commit a batch that moves the cursor."""
    moved = cursor._replace(next_offset=next_offset, outbox_seq=cursor.outbox_seq + 1, frontier_at=next_offset * 10)
    async with database.transaction() as connection:
        await cursors.advance(connection, cursor, moved)
    return moved


async def test_a_partition_begins_at_its_start_and_goes_on_where_it_was(database: Database) -> None:
    """The first owner starts at zero; the next finds offset, sequence and frontier of the last commit under a new epoch."""
    first = await take(database, "one")
    assert first == Cursor(PARTITION, 1, 0, 0, 0)
    await move(database, await move(database, first, 10), 25)
    assert await take(database, "two") == Cursor(PARTITION, 2, 25, 2, 250)


async def test_a_former_owner_is_fenced(database: Database) -> None:
    """After the partition was taken the former owner's commits fail, whatever they hold, and change nothing."""
    zombie = await move(database, await take(database, "one"), 10)
    await take(database, "two")
    with pytest.raises(Fenced, match=r"povod.events/3: epoch 1 at offset 10 is over"):
        await _commit_as(database, zombie)
    assert await rows(database) == {"cursors": 1}
    assert (await take(database, "three")).next_offset == 10


async def _commit_as(database: Database, cursor: Cursor) -> None:
    async with database.transaction() as connection:
        await event_outbox.put(connection, [ledger.event_of(entry(OFF, 1), NOON)])
        await cursors.advance(connection, cursor, cursor._replace(next_offset=99))


async def test_the_same_batch_can_not_be_committed_twice(database: Database) -> None:
    """A cursor that has moved on fences its own owner: a repeated batch fails."""
    cursor = await take(database, "one")
    await move(database, cursor, 10)
    with pytest.raises(Fenced):
        await move(database, cursor, 10)


async def test_a_new_owner_waits_for_an_open_transaction(database: Database) -> None:
    """The former owner's open transaction commits before the epoch is bumped: the new owner goes on behind it."""
    cursor = await take(database, "one")
    async with database.transaction() as connection:
        await cursors.advance(connection, cursor, cursor._replace(next_offset=7))
        taking = asyncio.create_task(take(database, "two"))
        await asyncio.wait({taking}, timeout=0.1)
        assert not taking.done()
    assert (await taking).next_offset == 7


async def test_two_owners_at_once_get_two_epochs(database: Database) -> None:
    """However many take a partition at the same moment, each has its own epoch and only the last can commit."""
    taken = sorted(await asyncio.gather(*(take(database, f"owner-{n}") for n in range(8))), key=lambda cursor: cursor.epoch)
    assert [cursor.epoch for cursor in taken] == list(range(1, 9))
    ended = await asyncio.gather(*(move(database, cursor, 5) for cursor in taken), return_exceptions=True)
    assert [type(each) for each in ended] == [Fenced] * 7 + [Cursor]


def batch(cursor: Cursor) -> list[Step]:
    """Return what one batch writes, statement by statement, into tables of every owner."""
    letter = DeadLetter(Record(*PARTITION, 4, b"ann", b"{", (), NOON), "undecodable_event", "cut short", NOON)
    customer = "INSERT INTO customers (bucket, customer, document, updated_at) VALUES (1, 'ann', '{}', 0)"
    history = (
        "INSERT INTO history (bucket, customer, seq, kind, input_id, source, type, decided_at, ruleset, payload)"
        " VALUES (1, 'ann', 1, 'event', 'e1', 'shop', 'cart.updated', 0, 'hash', '{}')"
    )
    outbox = "INSERT INTO outbox (partition, seq, topic, key, value) VALUES (3, 1, 'povod.dispatch', 'ann', '{}')"
    return [
        lambda connection: cursors.advance(connection, cursor, cursor._replace(next_offset=5)),
        lambda connection: connection.execute(text(customer)),
        lambda connection: connection.execute(text(history)),
        lambda connection: connection.execute(text(outbox)),
        lambda connection: event_outbox.put(connection, [ledger.event_of(entry(OFF, 1), NOON)]),
        lambda connection: dead_letters.put(connection, [letter]),
        lambda connection: ledger.record(connection, [entry(OFF, 1)], NOON),
        lambda connection: suppressions.add(connection, [Suppression(EMAIL, "ann@shop.example", "hard_bounce", NOON)]),
    ]


TABLES = ("customers", "history", "outbox", "event_outbox", "dead_letters", "consents", "consent_ledger", "suppressions", "cursors")
WHOLE = dict.fromkeys(TABLES, 1)


async def rows(database: Database) -> dict[str, int]:
    """Return the number of rows of every table that has any."""
    async with database.reading() as connection:
        counts = {table: (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() for table in TABLES}  # noqa: S608 - names of our own
    return {table: count for table, count in counts.items() if count}


class Crash(Exception):  # noqa: N818 - what it is
    """The process ends here."""


async def run_batch(database: Database, cursor: Cursor, statements: int) -> None:
    """Run so many statements of a batch; crash where they are not all."""
    steps = batch(cursor)
    async with database.transaction() as connection:
        for step in steps[:statements]:
            await step(connection)
        if statements < len(steps):
            raise Crash


@pytest.mark.parametrize("statements", range(8))
async def test_a_crash_between_two_statements_leaves_nothing(database: Database, statements: int) -> None:
    """Wherever a batch breaks off, no table has a row of it and the cursor stands; done again, it is whole."""
    cursor = await take(database, "one")
    with pytest.raises(Crash):
        await run_batch(database, cursor, statements)
    assert await rows(database) == {"cursors": 1}
    await run_batch(database, cursor, 8)
    assert await rows(database) == WHOLE
    assert (await take(database, "two")).next_offset == 5


async def test_an_open_claim_is_waited_for(database: Database) -> None:
    """An unsubscription that comes while a claim is open is not acknowledged before that claim has been committed."""
    claim = UnsubscribeClaim(ANN, EMAIL)
    async with database.transaction() as connection:
        await lock_for_claims(connection, [ANN], ["ann@shop.example"])
        assert await left_by_mail(connection, [ANN]) == set()
        leaving = asyncio.create_task(unsubscribe(database, claim, NOON, "link", ""))
        await asyncio.wait({leaving}, timeout=0.1)
        assert not leaving.done()
    await leaving
    async with database.transaction() as connection:
        await lock_for_claims(connection, [ANN], [])
        assert await left_by_mail(connection, [ANN]) == {ANN}


@pytest.mark.postgres
async def test_claims_do_not_wait_for_one_another(postgres_database: Database) -> None:
    """The lock is shared among claims: several may hold it for the same customer at once."""
    async with postgres_database.transaction() as one, postgres_database.transaction() as two:
        for connection in (one, two):
            await asyncio.wait_for(lock_for_claims(connection, [ANN], ["ann@shop.example"]), 1)


@pytest.mark.postgres
async def test_an_open_unsubscription_is_waited_for(postgres_database: Database) -> None:
    """A claim that comes while an unsubscription is being written waits, and then sees it."""
    async with postgres_database.transaction() as connection:
        await ledger.record(connection, [entry(OFF, 1)], NOON)
        claiming = asyncio.create_task(_claim_state(postgres_database))
        await asyncio.wait({claiming}, timeout=0.1)
        assert not claiming.done()
    assert await claiming == {ANN}


async def _claim_state(database: Database) -> object:
    async with database.transaction() as connection:
        await lock_for_claims(connection, [ANN], [])
        return await left_by_mail(connection, [ANN])


class Claimed(NamedTuple):
    """A claim that went through, and a moment at which it was not committed yet."""

    customer: CustomerId
    open_at: float


class Race:
    """Claimers that take customers for sending as long as they are subscribed, against customers who leave."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database = database
        self.chance = Random(seed)
        self.customers = [CustomerId(f"customer-{n}") for n in range(30)]
        self.claimed: list[Claimed] = []
        self.acknowledged: dict[CustomerId, float] = {}

    async def claim_until_all_left(self) -> None:
        """Claim random customers, with work between the look and the commit."""
        while len(self.acknowledged) < len(self.customers):
            wanted = self.chance.sample(self.customers, 5)
            async with self.database.transaction() as connection:
                await lock_for_claims(connection, wanted, [])
                left = await left_by_mail(connection, wanted)
                await asyncio.sleep(self.chance.random() * 0.002)
                self.claimed += [Claimed(customer, time.monotonic()) for customer in wanted if customer not in left]

    async def leave(self, customers: list[CustomerId]) -> None:
        """Unsubscribe one customer after the other; note when it was acknowledged."""
        for number, customer in enumerate(customers):
            await unsubscribe(self.database, UnsubscribeClaim(customer, EMAIL), minute(number), "one_click", "")
            self.acknowledged[customer] = time.monotonic()
            await asyncio.sleep(self.chance.random() * 0.004)

    def broken(self) -> list[Claimed]:
        """Return claims that were committed after their customer's unsubscription had been acknowledged."""
        return [each for each in self.claimed if each.open_at > self.acknowledged[each.customer]]


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_claimed_after_an_acknowledged_unsubscription(database: Database, seed: int) -> None:
    """Eight claimers race thirty unsubscriptions: no claim is committed after the acknowledgement of its customer's."""
    race = Race(database, seed)
    halves = race.customers[:15], race.customers[15:]
    await asyncio.gather(*(race.claim_until_all_left() for _ in range(6)), *(race.leave(half) for half in halves))
    assert len(race.claimed) > 30
    assert race.broken() == []
