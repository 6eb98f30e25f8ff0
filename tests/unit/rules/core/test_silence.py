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
    assert story.document.silence_due_at == NOON + 14 * DAY
    inputs = story.document.seq
    story.wait_until(NOON + 17 * DAY)
    assert story.document.seq == inputs + 2
    assert (story.sent_at, story.reasons) == ([NOON + 14 * DAY + 47 * HOUR], ["ok"])


def test_silence_of_named_events() -> None:
    """Only the named events count; a customer who never did them is not waited for."""
    story = Story(make_ruleset(make_journey("back", trigger=silent(14 * DAY, "order.completed"))))
    story.tell("page.viewed")
    assert story.document.silence_due_at is None
    story.tell("order.completed", at=NOON + DAY)
    story.tell("page.viewed", at=NOON + 10 * DAY)
    story.wait_until(NOON + 30 * DAY)
    assert story.sent_at == [NOON + 15 * DAY]


def test_passive_events_are_no_sign_of_life() -> None:
    """What the shop does to a customer is not what the customer does."""
    story = Story(make_ruleset(make_journey("back", trigger=silent(14 * DAY)), passive_types=["order.shipped"]))
    story.tell("order.shipped")
    assert (story.document.last_activity_at, story.document.silence_due_at) == (None, None)
    story.tell("page.viewed")
    story.tell("order.shipped", at=NOON + 13 * DAY)
    story.wait_until(NOON + 14 * DAY)
    assert story.sent_at == [NOON + 14 * DAY]


def test_an_imported_past_wakes_no_timers() -> None:
    """Whoever was last seen a year ago is not written to because their history was imported."""
    story = Story(make_ruleset(make_journey("back", trigger=silent(14 * DAY))))
    story.tell("page.viewed", at=NOON - 365 * DAY, received_at=NOON, historical=True)
    assert story.document.silence_due_at is None
    story.tell("page.viewed", id="recent", at=NOON - DAY, received_at=NOON, historical=True)
    assert story.document.silence_due_at == NOON + 13 * DAY


def test_a_click_counts_as_activity_and_a_delivery_does_not() -> None:
    """Dispatch's reports are no sign of life; what the customer does with a message is."""
    story = Story(make_ruleset())
    story.tell("message.sent", {})
    assert story.document.last_activity_at is None
    story.tell("message.clicked", {}, at=NOON + HOUR)
    assert story.document.last_activity_at == NOON + HOUR


def test_five_hundred_silences_are_waited_for_with_one_timer() -> None:
    """None is forgotten, however many journeys wait; the document holds one timer, and each journey is answered at its own time."""
    journeys = [make_journey(f"j{n:03}", trigger=silent((n + 1) * HOUR), version=f"v{n}") for n in range(500)]
    story = Story(make_ruleset(*journeys))
    story.tell("page.viewed")
    assert story.document.silence_due_at == NOON + HOUR
    story.wait_until(NOON + 500 * HOUR)
    assert story.enrolled == [journey.name for journey in journeys]
    assert story.document.silence_due_at is None


def test_what_an_event_costs_does_not_hang_on_the_number_of_silences() -> None:
    """With 500 journeys waiting, an event looks at the silences that its type is a sign of, and at no journey."""
    named = [make_journey(f"n{n}", trigger=silent(DAY, f"type.{n}"), version=f"n{n}") for n in range(250)]
    general = [make_journey(f"g{n}", trigger=silent((n + 2) * DAY), version=f"g{n}") for n in range(250)]
    ruleset = make_ruleset(*named, *general)
    assert {name: len(found) for name, found in ruleset.silences_by_event.items()} == dict.fromkeys(
        ["", *(f"type.{n}" for n in range(250))], 1
    )
    story = Story(ruleset)
    story.tell("page.viewed")
    assert story.document.silence_due_at == NOON + 2 * DAY
    story.tell("type.7", at=NOON + HOUR)
    assert story.document.silence_due_at == NOON + HOUR + DAY


def test_a_shorter_silence_is_armed_beside_a_longer_one() -> None:
    """After the short wait was answered, a new sign of life begins it again, though the long wait's timer is there."""
    story = Story(
        make_ruleset(make_journey("short", trigger=silent(DAY), version="s"), make_journey("long", trigger=silent(9 * DAY), version="l"))
    )
    story.tell("page.viewed")
    story.wait_until(NOON + 5 * DAY)
    story.tell("page.viewed", at=NOON + 5 * DAY)
    story.wait_until(NOON + 30 * DAY)
    assert story.enrolled == ["short", "short", "long"]
    assert story.sent_at == [NOON + DAY, NOON + 6 * DAY, NOON + 14 * DAY]


def test_a_journey_that_comes_later_is_waited_for_from_the_next_event_on() -> None:
    """A new rule set's silence counts from what was seen before; one that was complete before it came is left alone."""
    story = Story(make_ruleset(make_journey("old", trigger=silent(30 * DAY), version="o")))
    story.tell("order.completed")
    new = make_journey("new", trigger=silent(14 * DAY, "order.completed"), version="n")
    past = make_journey("past", trigger=silent(DAY, "order.completed"), version="p")
    story.ruleset = make_ruleset(make_journey("old", trigger=silent(30 * DAY), version="o"), new, past)
    story.tell("page.viewed", at=NOON + 5 * DAY)
    story.wait_until(NOON + 20 * DAY)
    assert (story.enrolled, story.sent_at) == (["new"], [NOON + 14 * DAY])
