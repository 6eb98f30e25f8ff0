"""Laws of the rules' tables, on both databases: a batch whole or not at all, timers in order, an outbox without gaps, the fence."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from services.contracts.codec import encode_event, key_of
from services.contracts.errors import Fenced
from services.contracts.ids import ContentHash, CustomerId
from services.contracts.partitioning import BUCKETS, bucket_of
from services.dispatch.rendering import check_template
from services.rules import store
from services.rules.activation import ActiveRulesets, apply
from services.rules.cache import DocumentCache
from services.rules.core.document import decode_document
from services.rules.intake import sort_records
from services.rules.packing import unpack
from services.rules.store import CustomerRow, DecisionRow, DueCustomer, HistoryRow, InputKey, OutboxRow
from services.rules.worker import NEVER, Done, Work, Worker
from services.runtime import cursors
from services.runtime.clock import FrozenClock
from services.runtime.cursors import Cursor
from services.runtime.database import Database
from services.runtime.eventlog.port import Record, TopicPartition
from services.runtime.telemetry.metrics import process_metrics
from tests.builders import HOUR, NOON, make_event
from tests.rules_desk import EVENTS, lay_out

RULESET = ContentHash("0" * 64)
ONE_PARTITION = 1
_GREETING = {"hello": "trigger: {event: customer.registered}\nsteps: [{send: note}]"}
PARTITION = TopicPartition(EVENTS, 0)


def customer_row(name: str, due_at: int | None, document: str = "{}") -> CustomerRow:
    """Return a row of `customers`."""
    return CustomerRow(bucket_of(name), CustomerId(name), document, due_at, 1)


async def count(database: Database, table: str) -> int:
    """Return how many rows a table has."""
    async with database.reading() as connection:
        found: int = (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()  # noqa: S608 - our own names
    return found


async def test_documents_are_replaced_and_loaded_by_many(database: Database) -> None:
    """An upsert inserts what is new and replaces what is there; loading gives those who exist, whatever is in their names."""
    names = ["ann", "боб", "o'neil", 'quo"te', "back\\slash", "{curly}"]
    async with database.transaction() as connection:
        await store.save_customers(connection, [customer_row(name, None, "old") for name in names[:3]])
        await store.save_customers(connection, [customer_row(name, 5, f"doc of {name}") for name in names])
        found = await store.load_documents(connection, map(CustomerId, [*names, "nobody"]))
    assert found == {name: f"doc of {name}" for name in names}


async def test_timers_come_in_the_order_of_their_times(database: Database) -> None:
    """The earliest come first, only of the buckets of the partition, at most as many as asked for; no timer, no row."""
    names = [f"c{n}" for n in range(40)]
    async with database.transaction() as connection:
        await store.save_customers(connection, [customer_row(name, 1_000 - n) for n, name in enumerate(names)])
        await store.save_customers(connection, [customer_row("idle", None)])
        every = await store.due_customers(connection, 1, 0, 100)
        mine = await store.due_customers(connection, 4, 3, 100)
        first = await store.due_customers(connection, 1, 0, 3)
    assert [row.due_at for row in every] == list(range(961, 1_001))
    assert mine == [row for row in every if bucket_of(row.customer) % 4 == 3]
    assert first == [DueCustomer(CustomerId("c39"), 961), DueCustomer(CustomerId("c38"), 962), DueCustomer(CustomerId("c37"), 963)]
    assert all(bucket_of(name) < BUCKETS for name in names)


async def test_history_knows_its_inputs(database: Database) -> None:
    """An input is known by customer, source and id together."""
    rows = [HistoryRow(bucket_of("ann"), CustomerId("ann"), 1, "event", "e1", "web", "a.b", "{}")]
    asked = [InputKey(CustomerId("ann"), "web", "e1"), InputKey(CustomerId("ann"), "app", "e1"), InputKey(CustomerId("bob"), "web", "e1")]
    async with database.transaction() as connection:
        await store.append_history(connection, rows, 7, RULESET)
        assert await store.known_inputs(connection, asked) == {asked[0]}
        assert await store.known_inputs(connection, []) == set()


async def test_known_inputs_are_found_however_many_a_customer_has(database: Database) -> None:
    """History knows a customer's first thousand inputs and those behind them alike: each half is looked for in its own way."""
    rows = [HistoryRow(bucket_of("ann"), CustomerId("ann"), seq, "event", f"e{seq}", "web", "t", "{}") for seq in (1, 1_000, 1_001, 5_000)]
    asked = [InputKey(CustomerId("ann"), "web", f"e{seq}") for seq in (1, 2, 1_000, 1_001, 1_002, 5_000)]
    async with database.transaction() as connection:
        await store.append_history(connection, rows, 7, RULESET)
        found = await store.known_inputs(connection, asked)
    assert {key.input_id for key in found} == {"e1", "e1000", "e1001", "e5000"}


async def test_decisions_keep_what_is_missing_missing(database: Database) -> None:
    """A decision without channel and message is stored with neither, not with empty texts."""
    row = DecisionRow(1, CustomerId("ann"), 1, 0, "cart", "k", "steps/0", "e1", "skipped", "consent", None, None, '{"a":"\\u0000"}')
    async with database.transaction() as connection:
        await store.append_decisions(connection, [row], 7, RULESET)
        found = (await connection.execute(text("SELECT channel, message_id, detail, ruleset, decided_at FROM decisions"))).one()
    assert tuple(found) == (None, None, '{"a":"\\u0000"}', RULESET, 7)


async def test_the_outbox_is_read_behind_what_was_published(database: Database) -> None:
    """Rows come in the order of their numbers, of one partition only, and are deleted up to the last one published."""
    rows = [OutboxRow(n, "povod.dispatch", f"c{n}", f"v{n}", None if n % 2 else "00-trace") for n in (3, 1, 2, 4)]
    async with database.transaction() as connection:
        await store.append_outbox(connection, 2, rows)
        await store.append_outbox(connection, 5, rows)
        assert [row.seq for row in await store.unpublished(connection, 2, 0, 3)] == [1, 2, 3]
        assert await store.unpublished(connection, 2, 3, 3) == [OutboxRow(4, "povod.dispatch", "c4", "v4", "00-trace")]
        await store.delete_published(connection, 2, 0, 3)
        assert [row.seq for row in await store.unpublished(connection, 2, 0, 9)] == [4]
        assert len(await store.unpublished(connection, 5, 0, 9)) == 4


class Bench:
    """A worker on a database with the rule set of `lay_out` active."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = FrozenClock(NOON + 12 * HOUR)
        self.cache = DocumentCache()
        self.worker = Worker(database, self.clock, ActiveRulesets(process_metrics()), self.cache)

    async def take(self) -> Cursor:
        """Take the partition."""
        async with self.database.transaction() as connection:
            return await cursors.acquire(connection, PARTITION, "bench")

    async def work(self, cursor: Cursor, count: int = 3, **changes: Any) -> Done:
        """Work off some registrations of as many customers, from the cursor on."""
        start = cursor.next_offset
        events = [make_event("customer.registered", {"email": "a@shop.example"}, customer=f"c{n}") for n in range(start, start + count)]
        records = [Record(EVENTS, 0, start + n, key_of(each.subject), encode_event(each), (), NOON) for n, each in enumerate(events)]
        work = Work(sort_records(records, ONE_PARTITION), cursor.next_offset + count, ONE_PARTITION)
        return await self.worker.work(cursor, work._replace(**changes))


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> Bench:
    """Return a worker."""
    await apply(database, *lay_out(tmp_path, _GREETING, policy="consent: {email: opt_out}"), NOON, "a test", check_template)
    return Bench(database)


async def test_a_batch_is_whole_or_not_at_all(bench: Bench) -> None:
    """A transaction that fails at its last statement leaves no document, input, decision, message nor a moved cursor."""
    cursor = await bench.take()
    async with bench.database.transaction() as connection:
        await connection.execute(text("ALTER TABLE outbox RENAME TO elsewhere"))
    with pytest.raises(Exception, match="outbox"):
        await bench.work(cursor)
    assert [await count(bench.database, table) for table in ("customers", "history", "decisions")] == [0, 0, 0]
    assert len(bench.cache) == 0
    async with bench.database.transaction() as connection:
        await connection.execute(text("ALTER TABLE elsewhere RENAME TO outbox"))
    done = await bench.work(cursor)
    assert [await count(bench.database, table) for table in ("customers", "history", "decisions", "outbox")] == [3, 3, 3, 3]
    assert (done.cursor.next_offset, done.cursor.outbox_seq) == (3, 3)


async def test_the_outbox_has_no_gaps_over_batches_and_owners(bench: Bench) -> None:
    """Numbers go on by one over batches, a rolled back one and a new owner."""
    first = (await bench.work(await bench.take())).cursor
    with pytest.raises(Fenced):
        await bench.work(first._replace(epoch=7))
    second = (await bench.work(await bench.take(), count=2)).cursor
    assert (second.epoch, second.outbox_seq) == (2, 5)
    async with bench.database.reading() as connection:
        assert [row.seq for row in await store.unpublished(connection, 0, 0, 99)] == [1, 2, 3, 4, 5]


async def test_a_former_owner_leaves_nothing(bench: Bench) -> None:
    """Once another has taken the partition a batch is fenced: no row of it is stored, nothing is kept in memory."""
    zombie = await bench.take()
    await bench.take()
    with pytest.raises(Fenced):
        await bench.work(zombie)
    assert [await count(bench.database, table) for table in ("customers", "history", "decisions", "outbox")] == [0, 0, 0, 0]
    assert len(bench.cache) == 0


async def test_a_repeated_batch_is_fenced(bench: Bench) -> None:
    """The same batch from the same offset can not be committed twice, even by its owner."""
    cursor = await bench.take()
    await bench.work(cursor)
    with pytest.raises(Fenced):
        await bench.work(cursor)
    assert await count(bench.database, "history") == 3


async def test_what_is_stored_can_be_read_again(bench: Bench) -> None:
    """The packed document is the one that the cache holds; no timer means no due time."""
    done = await bench.work(await bench.take(), count=1)
    async with bench.database.reading() as connection:
        stored = await store.load_documents(connection, [CustomerId("c0")])
    assert decode_document(unpack(stored[CustomerId("c0")])) == bench.cache.get(0, CustomerId("c0"))
    assert done.due_at == NEVER
