"""The journal on both databases: what answers mean, what a crash leaves."""

from datetime import timedelta

import pytest

from services.consent.ledger import ConsentState
from services.contracts.moments import to_micros
from services.dispatch.channels.port import Accepted, Reject, Retry, Unknown
from services.dispatch.journal import disown
from tests.dispatch_builders import START, make_message
from tests.dispatch_desk import LEASE, Desk, consent

HOUR = timedelta(hours=1)


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
