"""What the rules service reads: bad, misplaced, late and repeated records."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from services.authoring.simulate import simulate
from services.contracts.codec import encode_event
from services.contracts.errors import DeadLetterLimitReached
from services.contracts.ids import JourneyName
from services.contracts.partitioning import partition_of
from services.rules.loader import load_directory
from services.runtime.database import Database
from tests.builders import HOUR, NOON, make_event
from tests.rules_desk import EVENTS, PARTITIONS, Desk, lay_out, opened_desk
from tests.rules_shop_day import LATER, cart, order, registered, shop_day, viewed

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def desk(tmp_path: Path, database: Database) -> AsyncIterator[Desk]:
    """Return a desk on each database, in the evening of the shop's day."""
    async with opened_desk(tmp_path, database, NOON + LATER) as found:
        yield found


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
