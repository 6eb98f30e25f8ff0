"""The inbox on both databases: repeats vanish, recalls land, bad records never stop the partition."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Row, text

from services.contracts import codec
from services.contracts.errors import DeadLetterLimitReached, Fenced
from services.contracts.messages import Window
from services.contracts.moments import from_micros, to_micros
from services.dispatch.channels.port import Accepted, Answer, Reject, Retry, Unknown
from services.runtime import cursors
from services.runtime.database import Database
from services.runtime.dead_letters import DeadLetterLimit
from tests.dispatch_builders import PARTITION, START, make_batch, make_message, make_recall
from tests.dispatch_desk import Desk


async def dead_letters(desk: Desk) -> Sequence[Row[Any]]:
    """Return all dead letters in order."""
    async with desk.database.reading() as connection:
        return (await connection.execute(text("SELECT record_offset, reason, value FROM dead_letters ORDER BY record_offset"))).all()


async def test_a_message_is_queued_with_everything_that_sending_needs(desk: Desk) -> None:
    """A message becomes a queued row that is due when its first window begins, and the senders are woken."""
    message = make_message("m-1")
    await desk.take(message)
    row = await desk.row("m-1")
    assert (row.state, row.attempt, row.ambiguous, row.channel, row.recipient) == ("queued", 0, 0, "email", "ann@shop.example")
    assert codec.decode_command(row.command.encode()) == message
    assert desk.woken == 1


async def test_a_repeat_vanishes(desk: Desk) -> None:
    """The same message, in one batch or in two, is one row; what came first stays."""
    await desk.take(make_message("m-1", recipient="first@shop.example"), make_message("m-1", recipient="second@shop.example"))
    await desk.take(make_message("m-1", recipient="third@shop.example"), make_message("m-2"))
    assert await desk.states() == {"m-1": "queued", "m-2": "queued"}
    assert (await desk.row("m-1")).recipient == "first@shop.example"


async def test_a_repeat_of_a_sent_message_is_not_sent_again(desk: Desk) -> None:
    """A message that comes once more after it was sent changes nothing."""
    await desk.take(make_message("m-1"))
    assert await desk.answer(Accepted("p-1")) == 1
    await desk.take(make_message("m-1"))
    assert await desk.claim() == ()
    assert await desk.states() == {"m-1": "sent"}


async def test_a_recall_of_a_queued_message_ends_it_with_one_outcome(desk: Desk) -> None:
    """A queued message that is recalled is never claimed, and its outcome is told once, however often the recall comes."""
    await desk.take(make_message("m-1"), make_message("m-2"))
    await desk.take(make_recall("m-1", reason="exited"))
    await desk.take(make_recall("m-1", reason="exited"))
    assert await desk.states() == {"m-1": "recalled", "m-2": "queued"}
    assert [delivery.message.message_id for delivery in await desk.claim()] == ["m-2"]
    (event,) = await desk.outcomes()
    assert (event.id, event.type, event.subject, event.data["reason"]) == ("m-1:recalled:0", "message.recalled", "ann", "exited")
    assert event.traceparent == make_message().traceparent


async def test_a_recall_before_its_message_leaves_a_tombstone(desk: Desk) -> None:
    """A message whose recall was first ends as recalled when it comes, and its outcome, with the message's own data, is told then."""
    await desk.take(make_recall("m-1", reason="goal"))
    assert await desk.outcome_ids() == []
    await desk.take(make_message("m-1"))
    await desk.take(make_message("m-1"))
    row = await desk.row("m-1")
    assert (row.state, row.journey, row.due_at) == ("recalled", "cart", None)
    (event,) = await desk.outcomes()
    assert (event.id, event.data["template"], event.data["reason"]) == ("m-1:recalled:0", "cart-reminder", "goal")


async def test_message_and_recall_in_one_batch_end_recalled(desk: Desk) -> None:
    """The recall wins whichever way round the two lie in a batch."""
    await desk.take(make_message("m-1"), make_recall("m-1"), make_recall("m-2"), make_message("m-2"))
    assert await desk.states() == {"m-1": "recalled", "m-2": "recalled"}
    assert await desk.outcome_ids() == ["m-1:recalled:0", "m-2:recalled:0"]


async def test_a_recall_takes_a_claimed_message_back_before_its_first_byte(desk: Desk) -> None:
    """A recall between claim and sending wins: the claim's rows that begin no longer hold it."""
    await desk.take(make_message("m-1"), make_message("m-2"))
    claimed = await desk.claim()
    await desk.take(make_recall("m-1"))
    begun = await desk.journal().begin("worker/run/email/1", claimed, timedelta(seconds=60))
    assert [delivery.message.message_id for delivery in begun] == ["m-2"]
    assert await desk.states() == {"m-1": "recalled", "m-2": "sending"}


async def test_a_recall_of_what_is_being_sent_leaves_the_attempt_alone(desk: Desk) -> None:
    """Once sending has begun a recall comes too late for that attempt: one that is accepted ends as sent."""
    await desk.take(make_message("m-1"))
    begun = await desk.begin()
    await desk.take(make_recall("m-1"))
    assert await desk.states() == {"m-1": "sending"}
    assert await desk.outcome_ids() == []
    assert await desk.settle(begun, Accepted("p-1")) == 1
    assert await desk.states() == {"m-1": "sent"}
    assert await desk.outcome_ids() == ["m-1:sent:1"]


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        (Retry("smtp_450"), "recalled", "exited"),
        (Retry("connection_failed", scope="channel"), "recalled", "exited"),
        (Unknown("timeout"), "unknown", "exited"),
        (Reject("smtp_550", "recipient"), "failed", "smtp_550"),
    ],
)
async def test_no_attempt_follows_one_during_which_the_recall_came(desk: Desk, answer: Answer, state: str, reason: str) -> None:
    """A message recalled during an attempt ends with it: recalled where it certainly did not arrive, unknown where it may have."""
    await desk.take(make_message("m-1"), make_message("m-2"))
    begun = await desk.begin()
    await desk.take(make_recall("m-1", reason="exited"))
    await desk.take(make_recall("m-1", reason="merged"))
    assert await desk.settle(begun, answer) == 2
    row = await desk.row("m-1")
    assert (row.state, row.reason, row.due_at, row.lease_until) == (state, reason, None, None)
    assert row.ended_at == to_micros(START)
    event = next(event for event in await desk.outcomes() if event.data["message_id"] == "m-1")
    assert (event.type, event.data["reason"]) == (f"message.{state}", reason)
    desk.advance(timedelta(hours=2))
    assert "m-1" not in [delivery.message.message_id for delivery in await desk.claim()]


async def test_a_recalled_message_whose_worker_died_ends_unknown(desk: Desk) -> None:
    """An attempt that nobody can tell about is not repeated after a recall, while its neighbour gets the one more that it may have."""
    await desk.take(make_message("m-1"), make_message("m-2"))
    await desk.begin()
    await desk.take(make_recall("m-1"))
    desk.advance(timedelta(minutes=2))
    assert await desk.journal().recover(at_most_once=False) == 2
    assert await desk.states() == {"m-1": "unknown", "m-2": "ambiguous"}
    assert await desk.outcome_ids() == ["m-1:unknown:1"]


async def test_a_recall_after_an_ambiguous_attempt_ends_unknown(desk: Desk) -> None:
    """What may have arrived can't be called recalled: its cap slot stays taken."""
    await desk.take(make_message("m-1"))
    await desk.answer(Unknown("timeout"))
    await desk.take(make_recall("m-1"))
    assert await desk.states() == {"m-1": "unknown"}
    assert await desk.outcome_ids() == ["m-1:unknown:1"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "undecodable_command"),
        (b"{", "undecodable_command"),
        (b'{"command": "message.explode"}', "undecodable_command"),
        (b"\xff\xfe", "undecodable_command"),
        (b"[" * 100_000, "undecodable_command"),
        (codec.encode_command(make_message("m-9")).replace(b'T09:00:00Z"', b'T09:00:00"'), "naive_time"),
    ],
)
async def test_an_undecodable_record_is_dead_lettered_and_its_neighbours_go_on(desk: Desk, value: bytes, reason: str) -> None:
    """A bad record lands in the dead letters with its reason and bytes; what lies around it is queued; the cursor moves past it."""
    await desk.take(make_message("m-1"), value, make_message("m-2"))
    assert [tuple(row) for row in await dead_letters(desk)] == [(1, reason, value)]
    assert await desk.states() == {"m-1": "queued", "m-2": "queued"}
    async with desk.database.transaction() as connection:
        assert (await cursors.acquire(connection, PARTITION, "next")).next_offset == 3


async def test_a_record_that_the_database_refuses_is_found_by_halving(postgres_database: Database) -> None:
    """A value that PostgreSQL can't store costs its own record only."""
    desk = Desk(postgres_database)
    poison = msgspec.structs.replace(make_message("m-bad"), recipient="nul\x00@shop.example")
    await desk.take(*(make_message(f"m-{n}") for n in range(5)), poison, *(make_message(f"m-{n}") for n in range(5, 9)))
    assert sorted(await desk.states()) == [f"m-{n}" for n in range(9)]
    assert [(row.record_offset, row.reason) for row in await dead_letters(desk)] == [(5, "database_refused")]


async def test_too_many_bad_records_stop_the_service(desk: Desk) -> None:
    """Beyond the limit the fault is not in single records: nothing is committed and the exception reaches the top."""
    with pytest.raises(DeadLetterLimitReached):
        await desk.take(*[b"{"] * 1_001)
    assert await dead_letters(desk) == []


async def test_a_settings_limit_of_bad_records_holds(database: Database) -> None:
    """The limit is the one that the settings give, and it counts over batches."""
    desk = Desk(database, DeadLetterLimit(most=2, within=timedelta(minutes=5)))
    await desk.take(b"{", b"{")
    with pytest.raises(DeadLetterLimitReached, match="2 are allowed"):
        await desk.take(b"{")
    assert [row.record_offset for row in await dead_letters(desk)] == [0, 1]


async def test_a_batch_of_a_lost_partition_is_rolled_back_whole(desk: Desk) -> None:
    """An inbox whose partition has another owner by now commits nothing."""
    await desk.take(make_message("m-1"))
    async with desk.database.transaction() as connection:
        await cursors.acquire(connection, PARTITION, "another")
    with pytest.raises(Fenced):
        await desk.inbox.take(PARTITION, make_batch(make_message("m-2"), first=1))
    assert await desk.states() == {"m-1": "queued"}


async def test_a_revoked_partition_is_left_alone(desk: Desk) -> None:
    """After its revocation a partition's late batch is not touched."""
    await desk.take(make_message("m-1"))
    await desk.inbox.on_revoked([PARTITION])
    await desk.inbox.take(PARTITION, make_batch(make_message("m-2"), first=1))
    assert await desk.states() == {"m-1": "queued"}


async def test_a_message_waits_for_its_first_window(desk: Desk) -> None:
    """A message is due when its first window begins, not before."""
    opens = START + timedelta(hours=3)
    await desk.take(make_message("m-1", windows=(Window(opens, opens + timedelta(hours=1)),)))
    assert from_micros((await desk.row("m-1")).due_at) == opens
