"""The journal on both databases: what a claim refuses, holds or puts off, what answers mean, what a crash leaves."""

from datetime import timedelta

import pytest

from services.consent import ledger, suppressions
from services.consent.ledger import ConsentEntry, ConsentState
from services.consent.suppressions import Suppression
from services.contracts.ids import Channel
from services.contracts.messages import Kind, Window
from services.contracts.moments import from_micros, to_micros
from services.dispatch import holds
from services.dispatch.channels.port import Accepted, Reject, Retry, Unknown
from services.dispatch.journal import CLAIM_LEASE, disown
from services.runtime.database import Database
from tests.dispatch_builders import EMAIL, SMS, START, make_message
from tests.dispatch_desk import Desk

HOUR = timedelta(hours=1)
LEASE = timedelta(seconds=60)
"""How long `Desk.begin` lets a sending take."""


@pytest.fixture
def desk(database: Database) -> Desk:
    """Return a desk over an empty database."""
    return Desk(database)


async def consent(desk: Desk, state: ConsentState, channel: str = EMAIL, topic: str = "all", *, minutes: int = -60) -> None:
    """Record a statement of Ann's, `minutes` after the start."""
    stated_at = START + timedelta(minutes=minutes)
    entry = ConsentEntry(make_message().customer, Channel(channel), state, stated_at, "test", "", topic)
    async with desk.database.transaction() as connection:
        await ledger.record(connection, [entry], stated_at)


async def pause(desk: Desk, scope: holds.Scope, name: str = "") -> None:
    """Set a kill switch."""
    async with desk.database.transaction() as connection:
        await holds.hold(connection, scope, name, desk.clock.now(), "tester")


async def resume(desk: Desk, scope: holds.Scope, name: str = "") -> bool:
    """Lift a kill switch; say whether it was set."""
    async with desk.database.transaction() as connection:
        return await holds.release(connection, scope, name, desk.clock.now())


class TestClaims:
    """Who gets what, and what stands against it."""

    async def test_two_workers_never_claim_the_same_message(self, desk: Desk) -> None:
        """What one claim holds no other gets; together they get everything."""
        await desk.take(*(make_message(f"m-{n}") for n in range(10)))
        first, second = await desk.claim("a/1/email/1", 4), await desk.claim("b/1/email/1", 100)
        names = [delivery.message.message_id for delivery in (*first, *second)]
        assert (len(first), len(second), sorted(names)) == (4, 6, sorted(f"m-{n}" for n in range(10)))

    async def test_a_claim_is_of_one_channel(self, desk: Desk) -> None:
        """A channel's worker does not see another channel's messages."""
        await desk.take(make_message("m-1"), make_message("m-2", channel=SMS))
        assert [delivery.message.message_id for delivery in await desk.claim()] == ["m-1"]

    async def test_an_expired_message_is_not_sent(self, desk: Desk) -> None:
        """At its expiry a message ends as expired, with one outcome."""
        await desk.take(make_message("m-1", lasts=HOUR))
        desk.advance(HOUR)
        assert await desk.claim() == ()
        assert await desk.states() == {"m-1": "expired"}
        assert await desk.outcome_ids() == ["m-1:expired:0"]
        assert from_micros((await desk.row("m-1")).ended_at) == START + HOUR

    async def test_outside_its_windows_a_message_waits_for_the_next(self, desk: Desk) -> None:
        """Between two windows the due time moves to the next one's start; inside it the message goes; after the last it expires."""
        windows = (Window(START, START + HOUR), Window(START + 5 * HOUR, START + 6 * HOUR))
        await desk.take(make_message("m-1", windows=windows), make_message("m-2", windows=windows[:1]))
        desk.advance(2 * HOUR)
        assert await desk.claim() == ()
        row = await desk.row("m-1")
        assert (row.state, from_micros(row.due_at)) == ("queued", START + 5 * HOUR)
        desk.advance(3 * HOUR)
        assert [delivery.message.message_id for delivery in await desk.claim()] == ["m-1"]
        assert (await desk.row("m-2")).state == "expired"
        assert [event.data["reason"] for event in await desk.outcomes()] == ["no_window_left"]

    async def test_a_retry_obeys_the_windows_too(self, desk: Desk) -> None:
        """A message whose retry comes due in the quiet hours waits for the morning."""
        windows = (Window(START, START + timedelta(minutes=1)), Window(START + 5 * HOUR, START + 6 * HOUR))
        await desk.take(make_message("m-1", windows=windows))
        await desk.answer(Retry("smtp_450", after=timedelta(minutes=10)))
        desk.advance(HOUR)
        assert await desk.claim() == ()
        row = await desk.row("m-1")
        assert (row.state, row.attempt, from_micros(row.due_at)) == ("retry_at", 1, START + 5 * HOUR)

    @pytest.mark.parametrize(
        ("channel", "topic", "kind", "goes"),
        [
            ("email", "all", Kind.REGULAR, False),
            ("email", "all", Kind.SERVICE, False),
            ("all", "all", Kind.SERVICE, False),
            ("email", "marketing", Kind.REGULAR, False),
            ("email", "marketing", Kind.INCENTIVE, False),
            ("email", "marketing", Kind.SERVICE, True),
            ("sms", "all", Kind.REGULAR, True),
        ],
    )
    async def test_an_unsubscribed_customer_gets_nothing(self, desk: Desk, channel: str, topic: str, kind: Kind, *, goes: bool) -> None:
        """An unsubscribe stops what it is about: the channel or all of them, everything or marketing only."""
        await consent(desk, ConsentState.UNSUBSCRIBED, channel, topic)
        await desk.take(make_message("m-1", kind=kind))
        assert len(await desk.claim()) == goes
        assert await desk.states() == {"m-1": "claimed" if goes else "refused"}
        assert [(event.type, event.data["reason"]) for event in await desk.outcomes()] == (
            [] if goes else [("message.refused", "unsubscribed")]
        )

    async def test_the_latest_statement_counts(self, desk: Desk) -> None:
        """Whoever subscribed again after an unsubscribe is written to."""
        await consent(desk, ConsentState.UNSUBSCRIBED, minutes=-60)
        await consent(desk, ConsentState.SUBSCRIBED, minutes=-30)
        await desk.take(make_message("m-1"))
        assert len(await desk.claim()) == 1

    async def test_a_suppressed_address_gets_nothing_whoever_gives_it(self, desk: Desk) -> None:
        """Suppression is by channel and address, whatever its spelling, not by customer."""
        async with desk.database.transaction() as connection:
            await suppressions.add(connection, [Suppression(EMAIL, "Shared@shop.example", "address_dead", START)])
        await desk.take(
            make_message("m-1", customer="ann", recipient="shared@SHOP.example"),
            make_message("m-2", customer="bob", recipient="shared@shop.example"),
            make_message("m-3", customer="bob"),
        )
        assert [delivery.message.message_id for delivery in await desk.claim()] == ["m-3"]
        assert {event.data["reason"] for event in await desk.outcomes()} == {"suppressed"}

    async def test_a_claim_that_does_not_begin_is_claimed_again(self, desk: Desk) -> None:
        """Five seconds after a claim whose sending has not begun its messages wait again, and the late claimer can't begin."""
        await desk.take(make_message("m-1"))
        claimed = await desk.claim("a/1/email/1")
        desk.machine.advance(CLAIM_LEASE - timedelta(microseconds=1))
        assert await desk.journal().recover(at_most_once=False) == 0
        desk.machine.advance(timedelta(microseconds=1))
        assert await desk.journal().recover(at_most_once=False) == 1
        assert len(await desk.begin("b/1/email/1")) == 1
        assert await desk.journal().begin("a/1/email/1", claimed, LEASE) == []
        assert (await desk.row("m-1")).attempt == 1


class TestHolds:
    """Kill switches."""

    @pytest.mark.parametrize(
        ("scope", "name"), [("all", ""), ("channel", "email"), ("provider", "smtp"), ("journey", "cart"), ("template", "cart-reminder")]
    )
    async def test_a_switch_holds_and_does_not_drop(self, desk: Desk, scope: holds.Scope, name: str) -> None:
        """What a switch covers stays queued without an outcome, and goes when the switch is lifted."""
        await desk.take(make_message("m-1"))
        await pause(desk, scope, name)
        assert await desk.claim() == ()
        row = await desk.row("m-1")
        assert (row.state, row.reason, row.ended_at) == ("queued", "held", None)
        assert await desk.outcome_ids() == []
        assert await resume(desk, scope, name)
        assert [delivery.message.message_id for delivery in await desk.claim()] == ["m-1"]

    async def test_a_switch_leaves_others_alone(self, desk: Desk) -> None:
        """Other journeys go on while one is held; held ones don't use up the claim's places the next time."""
        await desk.take(*(make_message(f"m-{n}") for n in range(5)), make_message("m-w", journey="welcome"))
        await pause(desk, "journey", "cart")
        await desk.claim(limit=5)
        assert [delivery.message.message_id for delivery in await desk.claim(limit=5)] == ["m-w"]

    async def test_a_held_message_still_expires(self, desk: Desk) -> None:
        """A message that is held until its expiry ends as expired."""
        await pause(desk, "all")
        await desk.take(make_message("m-1", lasts=HOUR))
        await desk.claim()
        desk.advance(HOUR)
        await desk.claim()
        assert await desk.states() == {"m-1": "expired"}

    async def test_two_switches_must_both_be_lifted(self, desk: Desk) -> None:
        """Lifting one of two switches that cover a message leaves it held."""
        await pause(desk, "all")
        await pause(desk, "journey", "cart")
        await desk.take(make_message("m-1"))
        await desk.claim()
        assert await resume(desk, "all")
        assert await desk.claim() == ()
        assert await resume(desk, "journey", "cart")
        assert len(await desk.claim()) == 1

    async def test_lifting_what_is_not_set_says_so(self, desk: Desk) -> None:
        """Resuming what nobody paused is harmless and is told."""
        assert not await resume(desk, "channel", "email")


class TestAnswers:
    """What a provider's answer writes."""

    async def test_accepted_is_sent_with_one_outcome(self, desk: Desk) -> None:
        """An accepted message ends as sent with the provider's id; settling it twice writes nothing more."""
        await desk.take(make_message("m-1"))
        begun = await desk.begin()
        assert await desk.settle(begun, Accepted("250 queued as 7")) == 1
        assert await desk.settle(begun, Accepted("250 queued as 8")) == 0
        row = await desk.row("m-1")
        assert (row.state, row.attempt, row.provider_id, row.due_at, row.lease_until) == ("sent", 1, "250 queued as 7", None, None)
        (event,) = await desk.outcomes()
        assert (event.id, event.type, event.source) == ("m-1:sent:1", "message.sent", "povod.dispatch")
        assert event.data == {
            "message_id": "m-1",
            "channel": "email",
            "journey": "cart",
            "step": "steps/0",
            "template": "cart-reminder",
            "attempt": 1,
            "reason": None,
            "detail": None,
            "provider_id": "250 queued as 7",
            "suppress": False,
        }

    async def test_a_hard_bounce_suppresses_in_the_same_transaction(self, desk: Desk) -> None:
        """A refused address fails the message, is suppressed, and stops the next message to it."""
        await desk.take(make_message("m-1"))
        await desk.answer(Reject("address_dead", "recipient", suppress=True, detail="550 5.1.1 no such user"))
        await desk.take(make_message("m-2"))
        assert await desk.claim() == ()
        assert await desk.states() == {"m-1": "failed", "m-2": "refused"}
        failed, refused = await desk.outcomes()
        assert (failed.data["suppress"], failed.data["detail"]) == (True, "550 5.1.1 no such user")
        assert (refused.type, refused.data["reason"]) == ("message.refused", "suppressed")

    async def test_a_retry_waits_as_long_as_the_provider_said(self, desk: Desk) -> None:
        """`after` is the least that a message waits; then it may be claimed, its attempts counted."""
        await desk.take(make_message("m-1"))
        await desk.answer(Retry("smtp_450", after=timedelta(minutes=20)))
        desk.advance(timedelta(minutes=20) - timedelta(microseconds=1))
        assert await desk.claim() == ()
        desk.advance(timedelta(microseconds=1))
        (delivery,) = await desk.begin()
        assert delivery.attempt == 2

    async def test_retries_end_after_the_allowed_attempts(self, desk: Desk) -> None:
        """The last allowed attempt that is put off fails the message."""
        await desk.take(make_message("m-1"))
        for _ in range(3):
            await desk.answer(Retry("smtp_450"))
            desk.advance(timedelta(minutes=30))
        assert await desk.states() == {"m-1": "failed"}
        assert [(event.id, event.data["reason"]) for event in await desk.outcomes()] == [("m-1:failed:3", "smtp_450")]

    async def test_a_retry_beyond_the_expiry_expires_at_once(self, desk: Desk) -> None:
        """A message that could only be tried again after its expiry ends as expired now, so that its cap slot is freed."""
        await desk.take(make_message("m-1", lasts=HOUR))
        await desk.answer(Retry("smtp_450", after=HOUR))
        assert await desk.outcome_ids() == ["m-1:expired:1"]

    async def test_a_channel_failure_burns_no_attempt(self, desk: Desk) -> None:
        """However often the provider itself fails, the message has its attempts left."""
        await desk.take(make_message("m-1"))
        for _ in range(10):
            await desk.answer(Retry("connection_failed", scope="channel"))
        row = await desk.row("m-1")
        assert (row.state, row.attempt) == ("queued", 0)

    async def test_one_more_attempt_follows_an_ambiguous_one(self, desk: Desk) -> None:
        """A lost answer allows exactly one more attempt; a second one ends as unknown."""
        await desk.take(make_message("m-1"))
        await desk.answer(Unknown("timeout"))
        row = await desk.row("m-1")
        assert (row.state, row.attempt, row.ambiguous) == ("ambiguous", 1, 1)
        assert await desk.outcome_ids() == []
        desk.advance(HOUR)
        await desk.answer(Unknown("timeout"))
        desk.advance(HOUR)
        assert await desk.claim() == ()
        assert await desk.outcome_ids() == ["m-1:unknown:2"]

    async def test_an_ambiguous_message_may_still_be_sent(self, desk: Desk) -> None:
        """Where the second attempt is accepted the message is sent, and the journal keeps that it may be there twice."""
        await desk.take(make_message("m-1"))
        await desk.answer(Unknown("timeout"))
        desk.advance(HOUR)
        await desk.answer(Accepted())
        row = await desk.row("m-1")
        assert (row.state, row.attempt, row.ambiguous) == ("sent", 2, 1)

    async def test_at_most_once_channels_never_try_again_after_silence(self, desk: Desk) -> None:
        """On a paid channel a lost answer is the end."""
        await desk.take(make_message("m-1"))
        await desk.answer(Unknown("timeout"), at_most_once=True)
        assert await desk.outcome_ids() == ["m-1:unknown:1"]

    @pytest.mark.parametrize("answer", [Reject("smtp_550", "recipient"), Retry("smtp_450", after=timedelta(days=2))])
    async def test_what_may_have_arrived_never_frees_its_slot(self, desk: Desk, answer: Reject | Retry) -> None:
        """After an ambiguous attempt neither a refusal nor the expiry makes the message failed or expired: it stays unknown."""
        await desk.take(make_message("m-1"))
        await desk.answer(Unknown("timeout"))
        desk.advance(HOUR)
        await desk.answer(answer)
        assert await desk.outcome_ids() == ["m-1:unknown:2"]


class TestCrashes:
    """What a dead worker leaves."""

    async def test_a_send_that_was_cut_off_is_tried_once_more_then_unknown(self, desk: Desk) -> None:
        """A row found `sending` after its lease is ambiguous: one more attempt; a second crash ends it as unknown."""
        await desk.take(make_message("m-1"))
        await desk.begin("a/1/email/1", LEASE)
        desk.advance(LEASE)
        assert await desk.journal().recover(at_most_once=False) == 1
        assert (await desk.row("m-1")).state == "ambiguous"
        (again,) = await desk.begin("b/1/email/1", LEASE)
        assert (again.attempt, again.ambiguous) == (2, 1)
        desk.advance(LEASE)
        assert await desk.journal().recover(at_most_once=False) == 1
        assert await desk.claim() == ()
        row = await desk.row("m-1")
        assert (row.state, row.attempt, row.ambiguous, row.reason) == ("unknown", 2, 2, "worker_lost")
        assert await desk.outcome_ids() == ["m-1:unknown:2"]

    async def test_at_most_once_is_unknown_after_one_crash(self, desk: Desk) -> None:
        """On a channel that is at most once a row found `sending` ends as unknown at once."""
        await desk.take(make_message("m-1"))
        await desk.begin("a/1/email/1", LEASE)
        desk.advance(LEASE)
        await desk.journal().recover(at_most_once=True)
        assert await desk.outcome_ids() == ["m-1:unknown:1"]

    async def test_a_send_under_way_is_left_alone(self, desk: Desk) -> None:
        """Before its lease has run out a row that is `sending` is nobody else's."""
        await desk.take(make_message("m-1"))
        await desk.begin("a/1/email/1", LEASE)
        desk.advance(LEASE - timedelta(microseconds=1))
        assert await desk.journal().recover(at_most_once=False) == 0
        assert await desk.claim("b/1/email/1") == ()

    async def test_a_worker_that_was_given_up_can_write_nothing(self, desk: Desk) -> None:
        """The late answer of a worker whose row was taken over changes neither the row nor the outcomes."""
        await desk.take(make_message("m-1"))
        late = await desk.begin("a/1/email/1", LEASE)
        desk.advance(LEASE)
        await desk.journal().recover(at_most_once=False)
        assert await desk.settle(late, Reject("smtp_550", "recipient"), "a/1/email/1") == 0
        assert (await desk.row("m-1")).state == "ambiguous"
        assert await desk.outcome_ids() == []

    async def test_leases_run_by_the_machine_not_by_business_time(self, desk: Desk) -> None:
        """A clock port that jumps a month (time-lapse) takes no work away from a living worker."""
        await desk.take(make_message("m-1"), make_message("m-2"))
        await desk.begin("a/1/email/1", LEASE)
        desk.clock.advance(timedelta(days=30))
        assert await desk.journal().recover(at_most_once=False) == 0
        assert await desk.states() == {"m-1": "sending", "m-2": "sending"}

    async def test_a_restarted_worker_gives_its_old_claims_up_at_once(self, desk: Desk) -> None:
        """At its start a worker disowns what an earlier run of it held, and nothing of another worker's."""
        await desk.take(make_message("m-1"))
        await desk.begin("a/1/email/1", LEASE)
        await desk.take(make_message("m-2"))
        await desk.begin("ab/1/email/1", LEASE)
        await disown(desk.database, "a", "2")
        await desk.journal().recover(at_most_once=False)
        assert await desk.states() == {"m-1": "ambiguous", "m-2": "sending"}

    async def test_a_claim_is_dated_by_business_time(self, desk: Desk) -> None:
        """`claimed_at` is when the claim was decided, and stays what it was when the message is later refused."""
        await desk.take(make_message("m-1"))
        await desk.answer(Unknown("timeout"))
        await consent(desk, ConsentState.UNSUBSCRIBED, minutes=30)
        desk.advance(HOUR)
        assert await desk.claim() == ()
        row = await desk.row("m-1")
        assert (row.state, row.claimed_at) == ("unknown", to_micros(START))
