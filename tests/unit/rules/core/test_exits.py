"""Exits end enrolments at once, and take back what is on its way."""

from datetime import time, timedelta

from services.contracts.decisions import Verdict
from services.rules.core.document import next_due_at
from services.rules.core.ruleset import QuietHours
from tests.builders import DAY, HOUR, NOON, exit_on, make_document, make_event, make_journey, make_policy, make_ruleset, on, send, wait
from tests.story import Story

SECOND = timedelta(seconds=1)
CART = make_journey("cart", wait(), send("steps/1"), key="event.cart", exit_on=(exit_on(),))


def test_an_exit_ends_all_enrolments_of_the_journey() -> None:
    """Whatever their keys; their timers are gone, and each silence has a row of its own."""
    story = Story(make_ruleset(CART))
    for cart in ("b", "a"):
        story.tell(data={"cart": cart}, id=cart)
    story.tell("order.completed", at=NOON + HOUR / 2)
    assert story.exited == ["cart", "cart"]
    assert next_due_at(story.document) is None
    assert [(decision.key, decision.step, decision.reason) for decision in story.decisions] == [
        ("a", "steps/0", "exited"),
        ("b", "steps/0", "exited"),
    ]
    story.wait_until(NOON + DAY)
    assert story.messages == []


def test_an_exit_can_be_narrowed() -> None:
    """`where` compares the exit event with the trigger of each enrolment."""
    narrow = make_journey(
        "cart", wait(), send("steps/1"), key="event.cart", exit_on=(exit_on("order.completed", "event.cart == trigger.cart"),)
    )
    story = Story(make_ruleset(narrow))
    for cart in ("a", "b"):
        story.tell(data={"cart": cart}, id=cart)
    story.tell("order.completed", {"cart": "a"}, at=NOON + HOUR / 2)
    story.wait_until(NOON + DAY)
    assert [(decision.key, decision.reason) for decision in story.decisions] == [("a", "exited"), ("b", "ok")]


def test_an_exit_recalls_what_is_on_its_way() -> None:
    """A message that dispatch has not reported is recalled, even where the journey has come to its end."""
    story = Story(make_ruleset(make_journey("cart", exit_on=(exit_on(),))))
    story.tell()
    story.tell("order.completed", at=NOON + SECOND)
    (recall,) = story.recalls
    assert (recall.message_id, recall.reason, recall.recalled_at) == (story.messages[0].message_id, "exited", NOON + SECOND)
    assert story.exited == []
    assert story.document.enrolments == {}


def test_what_was_handed_over_is_not_recalled() -> None:
    """After `message.sent` there is nothing to take back."""
    story = Story(make_ruleset(make_journey("cart", exit_on=(exit_on(),))))
    story.tell()
    story.report(story.messages[0], "message.sent", NOON + SECOND)
    story.tell("order.completed", at=NOON + 2 * SECOND)
    assert story.recalls == []
    assert story.document.enrolments == {}


def test_the_slot_of_a_recalled_message_is_free_once_dispatch_says_so() -> None:
    """Until `message.recalled` it counts, since it may have gone out."""
    story = Story(make_ruleset(make_journey("cart", exit_on=(exit_on(),))))
    story.tell()
    story.tell("order.completed", at=NOON + SECOND)
    assert len(story.document.slots) == 1
    story.report(story.messages[0], "message.recalled", NOON + 2 * SECOND)
    assert story.document.slots == {}


def test_a_deferred_message_dies_with_its_enrolment() -> None:
    """What waited for the morning is not sent, and the ledger says why."""
    night = make_policy(quiet_hours=(QuietHours(time(0), time(20)),))
    story = Story(make_ruleset(make_journey("cart", exit_on=(exit_on(),)), policy=night))
    story.tell()
    story.tell("order.completed", at=NOON + HOUR)
    story.wait_until(NOON + DAY)
    assert [(decision.verdict, decision.reason) for decision in story.decisions] == [
        (Verdict.DEFERRED, "quiet_hours"),
        (Verdict.SKIPPED, "exited"),
    ]
    assert (story.exited, story.messages) == (["cart"], [])


def test_an_order_before_the_cart_does_not_end_it() -> None:
    """Event time orders behaviour: an exit that happened before the trigger, however late it arrives, is no exit."""
    story = Story(make_ruleset(CART))
    story.tell(data={"cart": "a"})
    story.tell_event(make_event("order.completed", at=NOON - SECOND, received_at=NOON + SECOND))
    assert (story.exited, len(story.document.enrolments)) == ([], 1)


def test_a_late_and_a_historical_exit_still_exits() -> None:
    """They trigger nothing, but the reason to write is gone all the same."""
    late = make_event("order.completed", at=NOON + SECOND, received_at=NOON + 3 * DAY)
    historical = make_event("order.completed", at=NOON + SECOND, historical=True)
    for event in (late, historical):
        story = Story(make_ruleset(make_journey("cart", wait(9 * DAY), exit_on=(exit_on(),))))
        story.tell()
        story.tell_event(event)
        assert story.exited == ["cart"]


def test_an_event_may_end_one_enrolment_and_begin_the_next() -> None:
    """Exits come before triggers."""
    again = make_journey("again", wait(), trigger=on("product.added"), exit_on=(exit_on("product.added"),))
    story = Story(make_ruleset(again))
    story.tell()
    story.tell(at=NOON + SECOND)
    assert (story.enrolled, story.exited, len(story.document.enrolments)) == (["again", "again"], ["again"], 1)


def test_enrolments_exit_by_the_version_with_which_they_began() -> None:
    """A journey that was changed since keeps its old exits for those inside."""
    new = make_journey("cart", wait(), version="cart-2")
    story = Story(make_ruleset(CART), make_document())
    story.tell(data={"cart": "a"})
    story.ruleset = make_ruleset(new, earlier=(CART,))
    story.tell("order.completed", at=NOON + SECOND)
    assert story.exited == ["cart"]
