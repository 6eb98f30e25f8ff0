"""The rules service as a whole: every event decided exactly once, whatever the batches, restarts, crashes and zombies."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.authoring.simulate import simulate
from services.contracts.codec import encode_event
from services.contracts.errors import DatabaseUnavailable, DeadLetterLimitReached, LogUnavailable
from services.contracts.events import Event
from services.contracts.ids import JourneyName
from services.contracts.messages import Message
from services.contracts.partitioning import partition_of
from services.rules.loader import load_directory
from services.runtime import cursors
from services.runtime.database import Database
from services.runtime.eventlog.port import TopicPartition
from tests.builders import HOUR, NOON, make_event
from tests.rules_desk import EVENTS, PARTITIONS, Desk, InputRow, LedgerRow, lay_out, opened_desk

MINUTE = timedelta(minutes=1)
LATER = 12 * HOUR


@pytest.fixture
async def desk(tmp_path: Path, database: Database) -> AsyncIterator[Desk]:
    """Return a desk on each database, in the evening of the shop's day."""
    async with opened_desk(tmp_path, database, NOON + LATER) as found:
        yield found


@pytest.fixture
async def sqlite_desk(tmp_path: Path, sqlite_database: Database) -> AsyncIterator[Desk]:
    """Return a desk on SQLite."""
    async with opened_desk(tmp_path, sqlite_database, NOON + LATER) as found:
        yield found


@pytest.fixture
async def calm_database(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """Return a second database, for the run that nothing disturbs."""
    file = tmp_path / "calm.db"
    shutil.copy(sqlite_template, file)
    found = Database(f"sqlite:///{file}")
    yield found
    await found.close()


def shop_day(customers: int = 12, events: int = 300, seed: int = 7) -> list[Event]:
    """Return a day of a shop in the order of its hours: registrations, carts, orders; some events twice."""
    chance = random.Random(seed)
    day = [registered(f"c{n}", n) for n in range(customers)]
    for n in range(events):
        customer = f"c{chance.randrange(customers)}"
        kind = chance.choice(["product.added", "product.added", "product.viewed", "order.completed"])
        data = {"session_id": f"s{chance.randrange(40)}", "order_id": f"o{n}", "total": chance.randrange(500)}
        day.append(make_event(kind, data, id=f"e{n}", at=NOON + timedelta(minutes=2 * n), customer=customer))
        if chance.random() < 0.1:
            day.append(day[-1])
    return day


def registered(customer: str, n: int = 0) -> Event:
    """Return a registration with an address and a consent."""
    data = {"email": f"{customer}@shop.example", "consent": {"email": True}}
    return make_event("customer.registered", data, id=f"r{customer}", at=NOON - HOUR + timedelta(seconds=n), customer=customer)


def cart(customer: str = "c0", session: str = "s1", *, after: timedelta = timedelta(0), event_id: str = "") -> Event:
    """Return something put into a cart, so long after noon."""
    name = event_id or f"cart-{customer}-{session}"
    return make_event("product.added", {"session_id": session}, id=name, at=NOON + after, customer=customer)


def order(customer: str = "c0", *, after: timedelta = timedelta(0)) -> Event:
    """Return an order, so long after noon."""
    return make_event("order.completed", {"order_id": "o1", "total": 5}, id=f"order-{customer}", at=NOON + after, customer=customer)


async def outcome(desk: Desk) -> tuple[list[InputRow], list[LedgerRow]]:
    """Return what was decided, and from which inputs."""
    return await desk.history(), await desk.ledger()


async def expected_of(folder: Path, database: Database, events: list[Event]) -> tuple[list[InputRow], list[LedgerRow]]:
    """Return what an undisturbed run over the events decides."""
    async with opened_desk(folder, database, NOON + LATER) as calm:
        await calm.append(events)
        await calm.work_off()
        return await outcome(calm)


async def test_decisions_do_not_hang_on_the_size_of_batches(tmp_path: Path, database_url: str) -> None:
    """Batches of 1, 7 and 1,000 give the same inputs in the same order, and the same decisions."""
    found = []
    for size in (1, 7, 1_000):
        database = Database(database_url)
        async with opened_desk(tmp_path / str(size), database, NOON + LATER) as desk:
            await desk.append(shop_day())
            await desk.work_off(batch=size)
            found.append(await outcome(desk))
            async with database.transaction() as connection:
                for table in ("customers", "history", "decisions", "cursors", "consents", "consent_ledger"):
                    await connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - names from this list
        await database.close()
    assert found[0] == found[1] == found[2]
    verdicts = {(row.verdict, row.reason) for row in found[0][1]}
    assert verdicts >= {("sent", "ok"), ("skipped", "frequency_cap"), ("skipped", "reentry"), ("skipped", "exited")}
    assert len({row.input_id for row in found[0][0] if row.kind == "event"}) == 312


async def test_a_run_that_keeps_up_decides_as_one_that_catches_up(
    tmp_path: Path, sqlite_database: Database, calm_database: Database
) -> None:
    """Events decided as they happen, timers at their own time: the same inputs and decisions as those of a worker half a day behind."""
    events = shop_day(events=60)
    expected = await expected_of(tmp_path / "behind", calm_database, events)
    async with opened_desk(tmp_path / "live", sqlite_database, NOON - 2 * HOUR) as desk, desk.running():
        await desk.drained()
        for event in events:
            await _advance(desk, event.receivedtime - NOON)
            await desk.append([event])
            await desk.drained()
        await _advance(desk, LATER)
        assert await outcome(desk) == expected


async def _advance(desk: Desk, after_noon: timedelta) -> None:
    """Move the clock from due time to due time."""
    while due := (await desk.rows("SELECT min(next_due_at) FROM customers"))[0][0]:
        moment = NOON + timedelta(microseconds=due - int(NOON.timestamp()) * 1_000_000)
        if moment > NOON + after_noon:
            break
        desk.clock.advance_to(max(moment, desk.clock.now()))
        await desk.drained()
    desk.clock.advance_to(max(NOON + after_noon, desk.clock.now()))
    await desk.drained()


async def test_a_restart_goes_on_where_the_last_one_stopped(desk: Desk, tmp_path: Path, calm_database: Database) -> None:
    """Stopped and started again after every few batches, nothing is lost and nothing decided twice."""
    events = shop_day()
    await desk.append(events)
    stops = 0
    while (await desk.rows("SELECT coalesce(sum(next_offset), 0) FROM cursors"))[0][0] < len(events):
        async with desk.running(batch=13):
            await asyncio.sleep(0.02)
        stops += 1
    await desk.work_off()
    assert stops > 2
    assert await outcome(desk) == await expected_of(tmp_path / "calm", calm_database, events)


class Breaking(Database):
    """A database whose commits fail now and then: before they are done, or after, when nobody hears of their success."""

    def __init__(self, database: Database, seed: int) -> None:
        self._inner = database
        self._chance = random.Random(seed)
        self.dialect = database.dialect
        self.broken = 0
        self.unknown = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Run the block, and perhaps fail."""
        fate = self._chance.random()
        async with self._inner.transaction() as connection:
            yield connection
            if fate < 0.15:
                self.broken += 1
                raise DatabaseUnavailable("broken before the commit")
        if fate > 0.85:
            self.unknown += 1
            raise DatabaseUnavailable("broken after the commit")

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Read."""
        async with self._inner.reading() as connection:
            yield connection


async def test_crashes_around_the_commit_change_nothing(desk: Desk, tmp_path: Path, calm_database: Database) -> None:
    """Commits that fail before or after they were done: each event is decided once, each message published at least once, in order."""
    events = shop_day()
    await desk.append(events)
    breaking = Breaking(desk.database, seed=3)
    async with desk.running(desk.service(batch=20, database=breaking)):
        await desk.drained(60)
    assert breaking.broken > 2
    assert breaking.unknown > 2
    assert await outcome(desk) == await expected_of(tmp_path / "calm", calm_database, events)
    decided = {row[0] for row in await desk.rows("SELECT message_id FROM decisions WHERE verdict = 'sent'")}
    published = [
        command.message_id for commands in (await desk.commands()).values() for command in commands if isinstance(command, Message)
    ]
    assert set(published) == decided


async def test_a_zombie_decides_nothing(desk: Desk) -> None:
    """After another owner has taken a partition, the former one's transaction fails and it lets go."""
    service = desk.service()
    await desk.append([registered("c0")])
    async with desk.running(service):
        await desk.drained()
        async with desk.database.transaction() as connection:
            for number in range(PARTITIONS):
                await cursors.acquire(connection, TopicPartition(EVENTS, number), "another")
        before = await outcome(desk)
        await desk.append([cart(), order()])
        async with asyncio.timeout(10):
            while len(service._ownership) == PARTITIONS:  # noqa: ASYNC110 - the fence is met by the next transaction
                await asyncio.sleep(0.01)
    assert await outcome(desk) == before


async def test_a_record_that_is_no_event_ends_in_a_dead_letter(desk: Desk) -> None:
    """Garbage is given up with its reason, at its offset, and its neighbours are decided."""
    partition = partition_of("c0", PARTITIONS)
    await desk.append([registered("c0")])
    await desk.append_raw(b"\xff\x00 no event", partition)
    await desk.append_raw(encode_event(cart("x" * 300)), partition)
    await desk.append([cart()])
    await desk.work_off()
    dead = await desk.rows("SELECT partition, record_offset, reason, value FROM dead_letters ORDER BY record_offset")
    assert [(row[0], row[1], row[2]) for row in dead] == [(partition, 1, "undecodable_event"), (partition, 2, "bad_length")]
    assert bytes(dead[0][3]) == b"\xff\x00 no event"
    assert [row.input_id for row in await desk.history() if row.kind == "event"] == ["rc0", "cart-c0-s1"]


async def test_a_record_that_the_database_refuses_is_found_by_halving(desk: Desk) -> None:
    """One event in a batch that can't be stored becomes a dead letter; all others of the batch are decided in their order."""
    await _refuse_input(desk, "poison")
    events = shop_day(events=90)
    events.insert(60, cart("c3", "s-x", after=timedelta(minutes=1), event_id="poison"))
    await desk.append(events)
    await desk.work_off()
    assert [tuple(row) for row in await desk.rows("SELECT reason FROM dead_letters")] == [("undecidable",)]
    decided = [row.input_id for row in await desk.history() if row.kind == "event"]
    assert "poison" not in decided
    assert sorted(decided) == sorted({event.id for event in events} - {"poison"})


async def _refuse_input(desk: Desk, name: str) -> None:
    """Have the database refuse one input."""
    statements = {
        "postgresql": f"ALTER TABLE history ADD CHECK (input_id <> '{name}')",
        "sqlite": f"CREATE TRIGGER refuse BEFORE INSERT ON history WHEN NEW.input_id = '{name}' BEGIN SELECT RAISE(ABORT, 'refused'); END",
    }
    async with desk.database.transaction() as connection:
        await connection.execute(text(statements[desk.database.dialect].replace(":", r"\:")))


async def test_too_many_dead_letters_stop_the_service(desk: Desk) -> None:
    """The limit is raised through everything and ends the process; what would pass it is not committed."""
    for _ in range(9):
        await desk.append_raw(b"garbage", 1)
    with pytest.raises(DeadLetterLimitReached):
        await asyncio.wait_for(desk.service(batch=2, dead_letter_limit=5).run(asyncio.Event()), 10)
    assert await desk.rows("SELECT count(*) FROM dead_letters") == [(4,)]
    assert await desk.rows("SELECT next_offset FROM cursors WHERE partition = 1") == [(4,)]


async def test_a_misplaced_record_is_forwarded_and_decided_once(desk: Desk) -> None:
    """A record on another bucket's partition goes, byte for byte, to the right one, and is decided there only."""
    event = order("c5")
    right = partition_of("c5", PARTITIONS)
    value = encode_event(event)
    await desk.append_raw(value, (right + 1) % PARTITIONS, b"c5")
    await desk.work_off()
    assert [row.input_id for row in await desk.history()] == ["order-c5"]
    assert (await desk.values(EVENTS))[right] == [value]
    assert await desk.rows("SELECT count(*) FROM dead_letters") == [(0,)]


async def test_a_lagging_worker_waits_for_the_unread_order(desk: Desk) -> None:
    """A cart timer that is long due does not fire before the order that was received within its hour is read."""
    await desk.append([registered("c0"), cart(), order(after=30 * MINUTE)])
    await desk.work_off(batch=1)
    assert [(row.journey, row.verdict, row.reason) for row in await desk.ledger()] == [
        ("cart", "skipped", "exited"),
        ("thanks", "sent", "ok"),
    ]


async def test_a_future_receipt_fires_no_timer_early(desk: Desk) -> None:
    """A record that claims to be received in the year 2100 moves no timer beyond the clock."""
    desk_now = desk.clock.now()
    late = make_event("product.added", {"session_id": "s1"}, id="late", at=desk_now - MINUTE, customer="c0")
    wild = make_event("page.viewed", id="wild", at=desk_now, received_at=desk_now.replace(year=2100), customer="c0")
    await desk.append([registered("c0"), late, wild])
    await desk.work_off()
    assert [row.kind for row in await desk.history()] == ["event", "event", "event"]


async def test_an_event_sent_twice_is_decided_once(desk: Desk) -> None:
    """A client's retry is a no-op: no input, no decision, whether in one batch or in two."""
    await desk.append([registered("c0"), cart(), cart()])
    await desk.work_off()
    await desk.append([cart()])
    await desk.work_off()
    assert [row.input_id for row in await desk.history() if row.kind == "event"] == ["rc0", "cart-c0-s1"]


async def test_a_busy_customers_retry_is_found_in_the_history(desk: Desk) -> None:
    """A thousand events later the document has forgotten an id; history has not."""
    busy = [make_event("page.viewed", id=f"v{n}", at=NOON + n * timedelta(seconds=1), customer="c0") for n in range(1_300)]
    await desk.append(busy)
    await desk.work_off()
    again = make_event("page.viewed", id="v3", at=NOON + HOUR, customer="c0")
    await desk.append([again, make_event("page.viewed", id="new", at=NOON + HOUR, customer="c0"), *busy[:5]])
    await desk.work_off()
    found = [row.input_id for row in await desk.history() if row.kind == "event"]
    assert len(found) == 1_301
    assert found[-1] == "new"


async def test_a_retry_that_its_own_batch_makes_the_document_forget_is_found(desk: Desk) -> None:
    """With 1,000 ids remembered, five new events push out the oldest, and its retry behind them is a no-op, live as in `simulate`."""
    known = [order(), *(viewed(n) for n in range(1, 1_000))]
    retried = [*(viewed(n) for n in range(1_000, 1_005)), msgspec.structs.replace(known[0], receivedtime=NOON + HOUR)]
    await desk.append(known)
    await desk.work_off()
    await desk.append(retried)
    await desk.work_off()
    inputs = [row.input_id for row in await desk.history() if row.kind == "event"]
    assert inputs == [event.id for event in [*known, *retried[:-1]]]
    figures = simulate([*known, *retried], load_directory(*lay_out(desk.folder)).ruleset)
    assert [row.journey for row in await desk.ledger()] == ["thanks"]
    assert figures.journeys[JourneyName("thanks")].enrolled == 1


def viewed(n: int, customer: str = "c0") -> Event:
    """Return a page that was viewed n seconds after noon."""
    return make_event("page.viewed", id=f"v{n}", at=NOON + n * timedelta(seconds=1), customer=customer)


async def test_outbox_rows_are_published_in_order_and_deleted(desk: Desk) -> None:
    """Every message decided is in the dispatch topic once, in the order of the decisions of its partition; the outbox is empty."""
    await desk.append(shop_day())
    await desk.work_off(batch=17)
    decided = await desk.rows("SELECT customer, message_id FROM decisions WHERE verdict = 'sent' ORDER BY customer, seq, n")
    published = {
        number: [command.message_id for command in commands if isinstance(command, Message)]
        for number, commands in (await desk.commands()).items()
    }
    for customer in {row[0] for row in decided}:
        mine = [row[1] for row in decided if row[0] == customer]
        assert [each for each in published[partition_of(customer, PARTITIONS)] if each in mine] == mine
    assert await desk.rows("SELECT count(*) FROM outbox") == [(0,)]
    assert await desk.rows("SELECT sum(outbox_seq) FROM cursors") == [(sum(map(len, (await desk.commands()).values())),)]


async def test_no_rule_set_no_consuming(tmp_path: Path, sqlite_database: Database) -> None:
    """Without an active rule set nothing is consumed and readiness says so; the first one that is applied starts the work."""
    async with opened_desk(tmp_path, sqlite_database, NOON + LATER) as desk:
        async with desk.database.transaction() as connection:
            await connection.execute(text("DELETE FROM active_ruleset"))
        await desk.append([registered("c0")])
        service = desk.service()
        async with desk.running(service):
            await asyncio.sleep(0.05)
            assert service.not_ready_because() == "no rule set is active yet: run `povod rules apply`"
            assert await desk.rows("SELECT count(*) FROM cursors") == [(0,)]
            await desk.apply()
            await desk.drained()
            assert service.not_ready_because() is None
        assert [row.input_id for row in await desk.history()] == ["rc0"]


class Mute:
    """A log that does not acknowledge for a while."""

    def __init__(self, desk: Desk) -> None:
        self._log = desk.log
        self.failures = 3

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, topic: str, records: Any) -> None:
        """Refuse a few times."""
        if self.failures:
            self.failures -= 1
            raise LogUnavailable("mute")
        await self._log.append(topic, records)


async def test_a_mute_log_delays_the_outbox_and_nothing_else(sqlite_desk: Desk) -> None:
    """While the log does not acknowledge, decisions go on and their messages wait; then they are published once."""
    desk = sqlite_desk
    await desk.append([registered("c0"), order()])
    mute = Mute(desk)
    async with desk.running(desk.service(log=mute)):
        await desk.drained()
    assert mute.failures == 0
    assert [len(commands) for commands in (await desk.commands()).values() if commands] == [1]
