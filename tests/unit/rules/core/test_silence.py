"""Triggers on inactivity, and what counts as activity."""

from datetime import timedelta

from tests.builders import DAY, HOUR, NOON, make_journey, make_ruleset
from tests.builders import silence as silent
from tests.story import Story

SECOND = timedelta(seconds=1)


def test_silence_enrols() -> None:
    """Fourteen days without activity, counted from the last sign of life."""
    story = Story(make_ruleset(make_journey("back", trigger=silent(14 * DAY))))
    story.tell("page.viewed")
    story.tell("page.viewed", at=NOON + 10 * DAY)
    story.wait_until(NOON + 24 * DAY - SECOND)
    assert story.enrolled == []
    story.wait_until(NOON + 24 * DAY)
    assert story.sent_at == [NOON + 24 * DAY]


def test_silence_is_answered_once_until_the_customer_stirs() -> None:
    """After it has fired, only a new activity starts the count again."""
    story = Story(make_ruleset(make_journey("back", trigger=silent(14 * DAY))))
    story.tell("page.viewed")
    story.wait_until(NOON + 99 * DAY)
    assert len(story.enrolled) == 1
    story.tell("page.viewed", at=NOON + 100 * DAY)
    story.wait_until(NOON + 200 * DAY)
    assert story.sent_at == [NOON + 14 * DAY, NOON + 114 * DAY]


def test_one_timer_however_many_events() -> None:
    """Events do not move the timer; one that fires early looks again, without a decision."""
    story = Story(make_ruleset(make_journey("back", trigger=silent(14 * DAY))))
    for hour in range(48):
        story.tell("page.viewed", at=NOON + hour * HOUR)
    assert story.document.inactivity_due == {"back": NOON + 14 * DAY}
    inputs = story.document.seq
    story.wait_until(NOON + 17 * DAY)
    assert story.document.seq == inputs + 2
    assert (story.sent_at, story.reasons) == ([NOON + 14 * DAY + 47 * HOUR], ["ok"])


def test_silence_of_named_events() -> None:
    """Only the named events count; a customer who never did them is not waited for."""
    story = Story(make_ruleset(make_journey("back", trigger=silent(14 * DAY, "order.completed"))))
    story.tell("page.viewed")
    assert story.document.inactivity_due == {}
    story.tell("order.completed", at=NOON + DAY)
    story.tell("page.viewed", at=NOON + 10 * DAY)
    story.wait_until(NOON + 30 * DAY)
    assert story.sent_at == [NOON + 15 * DAY]


def test_passive_events_are_no_sign_of_life() -> None:
    """What the shop does to a customer is not what the customer does."""
    story = Story(make_ruleset(make_journey("back", trigger=silent(14 * DAY)), passive_types=["order.shipped"]))
    story.tell("order.shipped")
    assert (story.document.last_activity_at, story.document.inactivity_due) == (None, {})
    story.tell("page.viewed")
    story.tell("order.shipped", at=NOON + 13 * DAY)
    story.wait_until(NOON + 14 * DAY)
    assert story.sent_at == [NOON + 14 * DAY]


def test_an_imported_past_wakes_no_timers() -> None:
    """Whoever was last seen a year ago is not written to because their history was imported."""
    story = Story(make_ruleset(make_journey("back", trigger=silent(14 * DAY))))
    story.tell("page.viewed", at=NOON - 365 * DAY, received_at=NOON, historical=True)
    assert story.document.inactivity_due == {}
    story.tell("page.viewed", id="recent", at=NOON - DAY, received_at=NOON, historical=True)
    assert story.document.inactivity_due == {"back": NOON + 13 * DAY}


def test_a_click_counts_as_activity_and_a_delivery_does_not() -> None:
    """Dispatch's reports are no sign of life; what the customer does with a message is."""
    story = Story(make_ruleset())
    story.tell("message.sent", {})
    assert story.document.last_activity_at is None
    story.tell("message.clicked", {}, at=NOON + HOUR)
    assert story.document.last_activity_at == NOON + HOUR
