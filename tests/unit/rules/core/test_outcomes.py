"""What dispatch and the ledger of consents report."""

from datetime import time, timedelta
from typing import Any

import pytest

from services.contracts.decisions import Verdict
from services.rules.core.document import Consent, Suppression
from services.rules.core.ruleset import QuietHours
from tests.builders import DAY, EMAIL, HOUR, NOON, SMS, exit_on, make_document, make_journey, make_policy, make_ruleset, send, wait
from tests.story import Story

SECOND = timedelta(seconds=1)
BOTH = make_journey("cart", send(channels=("email", "sms")))


def test_a_sent_message_counts_at_its_hand_over() -> None:
    """The slot shrinks from its whole validity to one moment."""
    story = Story(make_ruleset())
    story.tell()
    (slot,) = story.document.slots.values()
    assert (slot.earliest_at, slot.latest_at) == (NOON, NOON + DAY)
    story.report(story.messages[0], "message.sent", NOON + SECOND)
    (slot,) = story.document.slots.values()
    assert (slot.earliest_at, slot.latest_at) == (NOON + SECOND, NOON + SECOND)


@pytest.mark.parametrize("outcome", ["message.failed", "message.refused", "message.recalled", "message.expired"])
def test_what_did_not_go_out_frees_its_slot(outcome: str) -> None:
    """Only these four do."""
    story = Story(make_ruleset())
    story.tell()
    story.report(story.messages[0], outcome, NOON + SECOND)
    assert (story.document.slots, story.document.enrolments) == ({}, {})


@pytest.mark.parametrize("outcome", ["message.unknown", "message.delivered", "message.opened"])
def test_everything_else_keeps_it(outcome: str) -> None:
    """A message of which nobody knows may have arrived, so it counts to its last moment."""
    story = Story(make_ruleset())
    story.tell()
    before = dict(story.document.slots)
    story.report(story.messages[0], outcome, NOON + SECOND)
    assert story.document.slots == before


@pytest.mark.parametrize("outcome", ["message.failed", "message.refused"])
def test_an_undelivered_message_falls_back_to_the_next_channel(outcome: str) -> None:
    """The same step, another channel, another message id; its expiry stays."""
    story = Story(make_ruleset(BOTH))
    story.tell()
    story.report(story.messages[0], outcome, NOON + HOUR)
    first, second = story.messages
    assert (first.channel, second.channel, second.step) == ("email", "sms", first.step)
    assert first.message_id != second.message_id
    assert (second.decided_at, second.expires_at) == (NOON + HOUR, first.expires_at)
    assert list(story.document.slots) == [second.message_id]
    story.report(second, "message.failed", NOON + 2 * HOUR)
    assert (len(story.messages), story.document.enrolments) == (2, {})


@pytest.mark.parametrize("outcome", ["message.recalled", "message.expired", "message.unknown", "message.sent"])
def test_other_outcomes_do_not_fall_back(outcome: str) -> None:
    """It was taken back, came too late, or may have arrived."""
    story = Story(make_ruleset(BOTH))
    story.tell()
    story.report(story.messages[0], outcome, NOON + HOUR)
    assert len(story.messages) == 1


def test_a_fallback_passes_all_gates() -> None:
    """No consent for the next channel, no message; the ledger has both decisions."""
    story = Story(make_ruleset(BOTH), make_document(subscribed=("email",)))
    story.tell()
    story.report(story.messages[0], "message.failed", NOON + HOUR)
    assert story.reasons == ["ok", "consent"]
    assert story.document.enrolments == {}


def test_a_fallback_may_wait_for_the_morning_while_the_journey_goes_on() -> None:
    """The flow does not wait for it, and an exit takes it back."""
    policy = make_policy(quiet_hours=(QuietHours(time(12), time(20), channels=(SMS,)),))
    journey = make_journey("cart", send(channels=("email", "sms")), wait(2 * HOUR, "steps/1"), send("steps/2"), exit_on=(exit_on(),))
    story = Story(make_ruleset(journey, policy=policy))
    story.tell()
    story.report(story.messages[0], "message.failed", NOON + HOUR)
    assert story.decisions[-1].verdict is Verdict.DEFERRED
    left = Story(story.ruleset, story.document)
    left.tell("order.completed", at=NOON + 3 * HOUR)
    assert [(decision.step, decision.reason) for decision in left.decisions] == [("steps/2", "ok"), ("steps/0", "exited")]
    story.wait_until(NOON + DAY)
    assert [(message.channel, message.decided_at) for message in story.messages[1:]] == [
        ("email", NOON + 2 * HOUR),
        ("sms", NOON + 8 * HOUR),
    ]


def test_a_fallback_outlives_the_flow_it_came_from() -> None:
    """The journey has ended; the message deferred for it still goes, once."""
    policy = make_policy(quiet_hours=(QuietHours(time(12), time(20), channels=(SMS,)),))
    story = Story(make_ruleset(BOTH, policy=policy))
    story.tell()
    story.report(story.messages[0], "message.failed", NOON + HOUR)
    story.wait_until(NOON + DAY)
    assert [message.channel for message in story.messages] == ["email", "sms"]
    story.report(story.messages[1], "message.sent", NOON + DAY)
    assert story.document.enrolments == {}


def test_memory_of_a_message_ends_after_its_expiry() -> None:
    """An outcome that never comes does not keep the enrolment for ever."""
    story = Story(make_ruleset())
    story.tell()
    story.tell("page.viewed", at=NOON + DAY + HOUR)
    assert len(story.document.enrolments) == 1
    story.tell("page.viewed", at=NOON + DAY + HOUR + SECOND)
    assert story.document.enrolments == {}


def test_a_hard_bounce_suppresses_the_address() -> None:
    """The address to which it went, not the one that the customer has since."""
    story = Story(make_ruleset())
    story.tell()
    story.tell("customer.identified", {"email": "new@b"}, at=NOON + SECOND)
    story.report(story.messages[0], "message.failed", NOON + HOUR, suppress=True, reason="mailbox_unknown")
    assert story.document.suppressed == {EMAIL: Suppression("email-address", "mailbox_unknown")}
    story.tell(at=NOON + 2 * HOUR)
    assert story.reasons == ["ok", "ok"]
    assert story.messages[1].recipient == "new@b"


def test_an_outcome_of_an_unknown_message_is_harmless() -> None:
    """Whatever it says, nothing breaks and nothing is decided."""
    story = Story(make_ruleset())
    reports: list[dict[str, Any]] = [{}, {"message_id": 5}, {"message_id": "x", "suppress": True}, {"message_id": "x", "channel": 7}]
    for number, data in enumerate(reports):
        story.tell("message.failed", data, id=str(number))
    assert (story.decisions, story.document.suppressed, story.document.seq) == ([], {}, 4)


@pytest.mark.parametrize(
    ("data", "state"),
    [
        ({"channel": "email", "state": "unsubscribed", "at": (NOON - DAY).isoformat()}, "unsubscribed"),
        ({"channel": "email", "state": "unsubscribed", "topic": "all", "at": NOON.isoformat()}, "unsubscribed"),
        ({"channel": "email", "state": "unsubscribed"}, "unsubscribed"),
        ({"channel": "email", "state": "unsubscribed", "at": (NOON - 101 * DAY).isoformat()}, "subscribed"),
        ({"channel": "email", "state": "unsubscribed", "topic": "news", "at": NOON.isoformat()}, "subscribed"),
        ({"channel": "email", "state": "nonsense", "at": NOON.isoformat()}, "subscribed"),
        ({"channel": 5, "state": "unsubscribed"}, "subscribed"),
    ],
)
def test_the_ledgers_word_is_copied(data: dict[str, Any], state: str) -> None:
    """The newest statement about the whole channel holds; nothing goes back into the ledger."""
    story = Story(make_ruleset())
    outcome = story.tell("povod.consent", data)
    assert story.document.consents[EMAIL].state == state
    assert outcome.effects == ()


def test_of_two_statements_at_one_moment_the_withdrawal_holds() -> None:
    """In either order."""
    for first, second in (("subscribed", "unsubscribed"), ("unsubscribed", "subscribed")):
        story = Story(make_ruleset(), make_document(subscribed=()))
        story.tell("povod.consent", {"channel": "email", "state": first}, id="1")
        story.tell("povod.consent", {"channel": "email", "state": second}, id="2")
        assert story.document.consents == {EMAIL: Consent("unsubscribed", NOON)}


def test_a_suppression_is_copied_and_released() -> None:
    """An address on the ledger's list is not used, until it is taken off."""
    story = Story(make_ruleset())
    story.tell("povod.consent", {"channel": "email", "state": "suppressed", "address": "email-address", "reason": "complained"}, id="1")
    story.tell(at=NOON + SECOND)
    story.tell("povod.consent", {"channel": "email", "state": "released"}, id="2", at=NOON + HOUR)
    story.tell(at=NOON + 2 * HOUR)
    assert story.reasons == ["suppressed", "ok"]


def test_other_acts_change_nothing_yet() -> None:
    """Acts that this release does not know are counted, and are no activity."""
    story = Story(make_ruleset())
    story.tell("povod.backfill", {"trait": "revenue"})
    assert (story.document.seq, story.document.last_activity_at, story.document.first_seen_at) == (1, None, None)
