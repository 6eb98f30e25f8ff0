"""A visitor becomes a customer who lives on another partition: worker, outbox relay and log together, on both databases."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from services.contracts.events import Event
from services.contracts.ids import CustomerId
from services.contracts.merges import MERGE, encode_via, merge_of
from services.contracts.partitioning import partition_of
from services.rules.core.document import CustomerDocument
from services.rules.core.forwarding import MAX_HOPS
from services.rules.ledger import document_of
from services.runtime.database import Database
from tests.builders import HOUR, NOON, make_event
from tests.rules_desk import PARTITIONS, Desk, opened_desk
from tests.rules_shop_day import LATER, cart, order, registered, shop_day, viewed

ANN = "ann"
VISITOR = next(name for name in (f"visitor-{n}" for n in range(99)) if partition_of(name, PARTITIONS) != partition_of(ANN, PARTITIONS))


@pytest.fixture
async def desk(tmp_path: Path, database: Database) -> AsyncIterator[Desk]:
    """Return a desk on each database, in the evening of the shop's day."""
    async with opened_desk(tmp_path, database, NOON + LATER) as found:
        yield found


def identified(visitor: str = VISITOR, customer: str = ANN, *, after: timedelta = HOUR / 4) -> list[Event]:
    """Return what ingest publishes when a visitor says who they are: the event, and the merge beside it."""
    data = {"email": f"{customer}@shop.example", "consent": {"email": True}}
    event = make_event("customer.identified", data, id=f"i-{visitor}-{customer}", at=NOON + after, customer=customer)
    event = msgspec.structs.replace(event, anonymousid=visitor)
    merge = merge_of(event)
    assert merge is not None
    return [event, merge]


def merge(who: str, into: str, name: str = "") -> Event:
    """Return an operator's merge."""
    return make_event(MERGE, {"into": into}, id=name or f"{who} into {into}", at=NOON + HOUR, customer=who, source="operator")


async def document(desk: Desk, customer: str) -> CustomerDocument:
    """Return what is stored of a customer."""
    async with desk.database.reading() as connection:
        found = await document_of(connection, CustomerId(customer))
    assert found is not None
    return found


async def test_who_browses_identifies_and_buys_has_one_journey(desk: Desk) -> None:
    """The cart that the visitor filled is ended by the customer's order: nothing is sent but the thanks, and all is in one history."""
    await desk.append([viewed(0, VISITOR), cart(VISITOR), *identified(), order(ANN, after=HOUR / 2), viewed(7200, VISITOR)])
    await desk.work_off()
    rows = [(row.customer, row.journey, row.verdict, row.reason) for row in await desk.ledger()]
    assert sorted(rows) == [(ANN, "cart", "skipped", "exited"), (ANN, "thanks", "sent", "ok")]
    history = await desk.history()
    assert [row.input_id for row in history if row.customer == VISITOR] == ["v0", f"cart-{VISITOR}-s1", f"merge:i-{VISITOR}-{ANN}"]
    assert sorted(row.input_id for row in history if row.customer == ANN and not row.input_id.startswith(("merged:", "timer:"))) == [
        f"i-{VISITOR}-{ANN}",
        f"order-{ANN}",
        "v7200",
    ]
    assert sum(row.input_id.startswith("merged:") for row in history) == 1
    left, ann = await document(desk, VISITOR), await document(desk, ANN)
    assert (left.merged_into, ann.merged_from, ann.first_seen_at) == (ANN, (VISITOR,), NOON)
    assert (await desk.rows("SELECT count(*) FROM customers WHERE next_due_at IS NOT NULL"))[0][0] == 0


async def test_who_does_not_buy_is_written_to_once(desk: Desk) -> None:
    """The visitor's cart and the customer's, of one session, lead to one reminder, to the address that only the customer has."""
    await desk.append([cart(VISITOR), *identified()])
    await desk.work_off()
    await desk.append([cart(ANN, after=HOUR / 2)])
    await desk.work_off()
    commands = [command for values in (await desk.commands()).values() for command in values]
    assert [(command.customer, command.recipient) for command in commands if hasattr(command, "recipient")] == [(ANN, "ann@shop.example")]
    assert [(row.customer, row.reason) for row in await desk.ledger()] == [(ANN, "ok"), (ANN, "reentry")]


async def test_a_producer_need_not_know_of_merges(desk: Desk) -> None:
    """An event that names both, written to the topic by itself, makes them one; beside the merge of ingest it changes nothing."""
    event, beside = identified()
    await desk.append([viewed(0, VISITOR), event])
    await desk.work_off()
    assert (await document(desk, VISITOR)).merged_into == ANN
    await desk.append([beside])
    await desk.work_off()
    assert [row.input_id for row in await desk.history() if row.customer == VISITOR] == ["v0", beside.id]


async def test_caps_count_both(desk: Desk) -> None:
    """Three messages a week: two to the visitor under their own address, then one to the customer, then none."""
    await desk.append([registered(VISITOR), cart(VISITOR, "s1"), cart(VISITOR, "s2", after=HOUR / 60)])
    await desk.work_off()
    await desk.append(identified(after=2 * HOUR))
    await desk.work_off()
    await desk.append([cart(ANN, "s3", after=3 * HOUR), cart(ANN, "s4", after=3 * HOUR)])
    await desk.work_off()
    assert Counter((row.customer, row.reason) for row in await desk.ledger()) == {
        (VISITOR, "ok"): 2,
        (ANN, "ok"): 1,
        (ANN, "frequency_cap"): 1,
    }


async def test_every_event_is_in_one_history_whatever_stops_between(desk: Desk) -> None:
    """A day in which four visitors become customers, with a restart every few records: each id once, and visitors with no open timer."""
    visitors = {f"c{n}": f"c{n + 4}" for n in range(4)}
    events = shop_day(customers=8, events=120)
    for number, (visitor, customer) in enumerate(visitors.items()):
        events[40 + 10 * number : 40 + 10 * number] = identified(visitor, customer, after=2 * HOUR)
    await desk.append(events)
    while (await desk.rows("SELECT coalesce(sum(next_offset), 0) FROM cursors"))[0][0] < len(events):
        async with desk.running(batch=9):
            await asyncio.sleep(0.02)
    await desk.work_off()
    found = Counter(row.input_id for row in await desk.history() if row.kind == "event" and not row.input_id.startswith("merged:"))
    assert found == dict.fromkeys({event.id for event in events}, 1)
    marked = [await document(desk, visitor) for visitor in visitors]
    assert [each.merged_into for each in marked] == list(visitors.values())
    assert [len(each.enrolments) + len(each.slots) for each in marked] == [0] * 4
    assert (await desk.rows("SELECT count(*) FROM dead_letters"))[0][0] == 0


async def test_a_chain_ends_at_its_end(desk: Desk) -> None:
    """A visitor who became a customer who became another: carts and later events are the last one's."""
    await desk.append([cart(VISITOR), *identified()])
    await desk.work_off()
    await desk.append([merge(ANN, "zoe"), cart(VISITOR, "s2", after=2 * HOUR)])
    await desk.work_off()
    zoe = await document(desk, "zoe")
    assert zoe.merged_from == (VISITOR, ANN)
    assert {row.customer for row in await desk.history() if row.input_id == f"cart-{VISITOR}-s2"} == {"zoe"}
    assert sorted(zoe.entries["cart"]) == ["s1", "s2"]  # type: ignore[index]  # a journey's name


async def test_two_who_become_each_other_stay_one(desk: Desk) -> None:
    """Both merges at once, on two partitions: the smaller name holds, nothing goes round, nothing is lost."""
    await desk.append([cart(VISITOR, "s1"), cart(ANN, "s2"), merge(VISITOR, ANN), merge(ANN, VISITOR)])
    await desk.append([viewed(1, VISITOR), viewed(2, ANN)])
    await desk.work_off()
    ann, left = await document(desk, ANN), await document(desk, VISITOR)
    assert (ann.merged_into, left.merged_into, ann.merged_from) == ("", ANN, (VISITOR,))
    assert sorted(ann.entries["cart"]) == ["s1", "s2"]  # type: ignore[index]  # a journey's name
    assert [(refused.into, refused.reason) for refused in ann.refused_merges] == [(VISITOR, "cycle")]
    found = Counter(row.input_id for row in await desk.history() if row.kind == "event")
    assert set(found.values()) == {1}
    assert {"v1", "v2"} <= set(found)


async def test_an_event_that_has_gone_too_far_is_a_dead_letter(desk: Desk) -> None:
    """With its reason; the partition goes on."""
    await desk.append([merge(VISITOR, ANN)])
    names = tuple(CustomerId(f"n{number}") for number in range(MAX_HOPS))
    await desk.append([msgspec.structs.replace(viewed(1, VISITOR), via=encode_via(names)), viewed(2, VISITOR)])
    await desk.work_off()
    ((reason, error),) = await desk.rows("SELECT reason, error FROM dead_letters")
    assert (reason, error) == ("undecidable", "InvalidEvent: passed on by 50 customers who became another, the last is 'n49'")
    assert [row.input_id for row in await desk.history() if row.customer == ANN][-1] == "v2"
