"""Open journeys go over to the customer whom a visitor became, unless the customer, seen as one, would not be in them."""

from datetime import datetime, timedelta
from typing import Any, Literal

import pytest

from services.contracts.ids import CustomerId, JourneyName
from services.rules.core.document import Entry, next_due_at
from services.rules.core.enrolling import MAX_ENROLMENTS
from services.rules.core.ruleset import Ruleset
from tests.builders import (
    CUSTOMER,
    DAY,
    HOUR,
    NOON,
    exit_on,
    make_document,
    make_journey,
    make_lifecycle,
    make_ruleset,
    on,
    reentry,
    send,
    wait,
)
from tests.two_stories import VISITOR, TwoStories

CART = JourneyName("cart")


def rules(mode: Literal["never", "always", "after"] = "always", **more: Any) -> Ruleset:
    """Return a journey that waits two hours for each cart, then sends; an order ends it."""
    steps = (wait(2 * HOUR), send("steps/1"))
    journey = make_journey("cart", *steps, key="event.cart", exit_on=(exit_on(),), reentry=reentry(mode, **more))
    return make_ruleset(journey)


def told(ruleset: Ruleset, *, visitor: dict[str, datetime], customer: dict[str, datetime]) -> TwoStories:
    """Return two stories, not yet merged, in which each fills the carts of these names at these times."""
    pair = TwoStories(ruleset)
    for cart, at in visitor.items():
        pair.tell("product.added", {"cart": cart}, at=at, id=f"v{cart}")
    for cart, at in customer.items():
        pair.customer.tell("product.added", {"cart": cart}, at=at, id=f"c{cart}")
    return pair


def carts_of(pair: TwoStories) -> dict[str, datetime]:
    """Return the customer's open carts and when each was filled."""
    return {each.key: each.triggered_at for each in pair.customer.document.enrolments.values() if each.step}


def test_an_open_journey_goes_on_with_its_timer() -> None:
    """It is moved, not copied: its messages keep their names, and the visitor's document has no timer left."""
    pair = told(rules(), visitor={"1": NOON}, customer={})
    (enrolment,) = pair.visitor.document.enrolments.values()
    pair.merge(NOON + HOUR)
    assert pair.customer.document.enrolments == {enrolment.id: enrolment}
    assert (next_due_at(pair.visitor.document), next_due_at(pair.customer.document)) == (None, NOON + 2 * HOUR)
    pair.customer.wait_until(NOON + DAY)
    (message,) = pair.customer.messages
    assert (message.customer, message.enrolment, message.decided_at) == (CUSTOMER, enrolment.id, NOON + 2 * HOUR)


def test_a_timer_that_fell_due_on_the_way_fires_late() -> None:
    """Not lost: it fires at the customer's next turn."""
    pair = told(rules(), visitor={"1": NOON}, customer={})
    pair.tell("povod.merge", {"into": CUSTOMER}, at=NOON + HOUR)
    pair.customer.tell("page.viewed", at=NOON + 5 * HOUR)
    pair.pass_on()
    pair.customer.wait_until(NOON + 5 * HOUR)
    assert len(pair.customer.messages) == 1


def test_an_order_before_the_merge_ends_the_visitors_cart() -> None:
    """The customer bought while the merge was still on its way: the cart is ended, and the ledger says why."""
    pair = told(rules(), visitor={"1": NOON, "2": NOON + HOUR}, customer={})
    pair.customer.tell("order.completed", at=NOON + HOUR / 2)
    pair.merge(NOON + HOUR)
    assert carts_of(pair) == {"2": NOON + HOUR}
    assert [(decision.key, decision.step, decision.reason) for decision in pair.customer.decisions] == [("1", "steps/0", "exited")]
    assert pair.customer.exited == ["cart"]


def test_the_visitors_order_ends_the_customers_cart() -> None:
    """A guest's order is the customer's order."""
    pair = told(rules(), visitor={}, customer={"1": NOON})
    pair.tell("order.completed", at=NOON + HOUR)
    pair.merge(NOON + HOUR)
    assert (carts_of(pair), pair.customer.reasons) == ({}, ["exited"])


def test_what_is_on_its_way_is_recalled_with_its_journey() -> None:
    """An exit that the customer saw recalls the visitor's message, under the name that dispatch knows."""
    journey = make_journey("cart", send(), wait(DAY, "steps/1"), exit_on=(exit_on(),))
    pair = TwoStories(make_ruleset(journey))
    pair.visitor.document = make_document(customer=CustomerId(VISITOR))
    pair.tell()
    pair.customer.tell("order.completed", at=NOON + HOUR)
    pair.merge(NOON + HOUR)
    (recall,) = pair.customer.recalls
    assert (recall.message_id, recall.reason) == (pair.visitor.messages[0].message_id, "exited")


@pytest.mark.parametrize("customers", [NOON - HOUR / 2, NOON + HOUR / 2])
def test_one_key_is_open_once(customers: datetime) -> None:
    """The customer's own enrolment goes on, whichever is older; the visitor's ends with its reason."""
    pair = told(rules(), visitor={"1": NOON, "2": NOON}, customer={"1": customers})
    pair.merge(NOON + HOUR)
    assert carts_of(pair) == {"1": customers, "2": NOON}
    (decision,) = pair.customer.decisions
    assert (decision.key, decision.reason, decision.detail["gates"][0]["open"]) == ("1", "reentry", True)
    assert pair.customer.exited == ["cart"]


def test_the_open_one_has_not_ended() -> None:
    """What re-entry remembers is of the enrolment that goes on: it was entered, and not left."""
    pair = told(rules("never"), visitor={"1": NOON}, customer={})
    pair.customer.tell("product.added", {"cart": "1"}, at=NOON)
    pair.merge(NOON + HOUR)
    assert pair.customer.document.entries[CART] == {"1": Entry(NOON)}


def test_a_message_of_a_journey_that_does_not_go_on_is_still_known() -> None:
    """Its journey has ended, but an order recalls it, as it would have under the visitor's name."""
    journey = make_journey("cart", send(), wait(DAY, "steps/1"), exit_on=(exit_on(),))
    pair = TwoStories(make_ruleset(journey))
    pair.visitor.document = make_document(customer=CustomerId(VISITOR))
    pair.tell(id="v")
    pair.customer.tell(at=NOON + HOUR)
    pair.merge(NOON + HOUR)
    assert [bool(each.step) for each in pair.customer.document.enrolments.values()] == [True, False]
    pair.customer.tell("order.completed", at=NOON + 2 * HOUR)
    messages = [*pair.visitor.messages, *pair.customer.messages]
    assert sorted(recall.message_id for recall in pair.customer.recalls) == sorted(message.message_id for message in messages)


@pytest.mark.parametrize(
    ("rule", "open_"),
    [
        (rules("always"), True),
        (rules("never"), False),
        (rules("after", after=6 * HOUR), True),
        (rules("after", after=12 * HOUR), False),
        (rules("after", after=6 * HOUR, since="exit"), False),
        (rules("after", after=5 * HOUR, since="exit"), True),
        (rules("after", after=6 * HOUR, since="send"), True),
    ],
)
def test_re_entry_holds_for_both_as_one(rule: Ruleset, *, open_: bool) -> None:
    """The customer was in the journey for the same cart, six to five hours earlier; whether the visitor may have been, its rule says."""
    pair = told(rule, visitor={"1": NOON}, customer={"1": NOON - 6 * HOUR})
    pair.customer.tell("order.completed", at=NOON - 5 * HOUR)
    pair.merge(NOON + HOUR)
    assert (carts_of(pair) == {"1": NOON}, "reentry" in pair.customer.reasons) == (open_, not open_)


def test_what_re_entry_remembers_is_that_of_both() -> None:
    """Of one key the later of everything."""
    pair = told(rules("never"), visitor={"1": NOON, "2": NOON}, customer={"1": NOON - 6 * HOUR})
    pair.customer.tell("order.completed", at=NOON - 5 * HOUR)
    pair.merge(NOON + HOUR)
    entries = pair.customer.document.entries[CART]
    assert entries == {"1": Entry(NOON, NOON + HOUR), "2": Entry(NOON)}
    pair.customer.tell("product.added", {"cart": "2"}, at=NOON + 9 * HOUR)
    assert pair.customer.reasons[-1] == "reentry"


def test_exits_of_both_are_remembered() -> None:
    """A late trigger, older than the visitor's order, opens nothing for the customer."""
    pair = told(rules(), visitor={}, customer={})
    pair.tell("order.completed", at=NOON)
    pair.customer.tell("order.completed", at=NOON - HOUR)
    pair.merge(NOON)
    assert [seen.at for seen in pair.customer.document.exits[CART]] == [NOON]
    pair.customer.tell("product.added", {"cart": "1"}, at=NOON - timedelta(minutes=1), received_at=NOON + HOUR)
    assert pair.customer.reasons == ["exited"]


def test_exits_with_a_condition_keep_their_data() -> None:
    """Those that ask for the trigger are told apart, the newest ten of both."""
    journey = make_journey("cart", wait(DAY), key="event.cart", exit_on=(exit_on(where="event.cart == trigger.cart"),))
    pair = told(make_ruleset(journey), visitor={"1": NOON, "2": NOON}, customer={"3": NOON})
    for number in range(10):
        pair.tell("order.completed", {"cart": f"v{number}"}, at=NOON + HOUR, id=str(number))
        pair.customer.tell("order.completed", {"cart": "2" if number == 9 else "c"}, at=NOON + HOUR, id=str(number + 10))
    pair.merge(NOON + 2 * HOUR)
    assert carts_of(pair) == {"1": NOON, "3": NOON}
    kept = [seen.data["cart"] for seen in pair.customer.document.exits[CART] if seen.data]
    assert kept == [*(f"v{number}" for number in range(2, 10)), "c", "2"]


def test_open_journeys_stay_bounded() -> None:
    """More than two hundred are refused as they would be anywhere."""
    pair = told(rules(), visitor={f"v{n}": NOON for n in range(3)}, customer={f"c{n}": NOON for n in range(MAX_ENROLMENTS - 1)})
    pair.merge(NOON + HOUR)
    assert (len(carts_of(pair)), pair.customer.reasons) == (MAX_ENROLMENTS, ["loop_limit"] * 2)


def test_a_journey_without_its_version_is_kept_until_its_timer() -> None:
    """What the rule set does not know any more is given up where it always is."""
    pair = told(rules(), visitor={"1": NOON}, customer={})
    pair.customer.ruleset = make_ruleset(make_journey("other", trigger=on("page.viewed")))
    pair.merge(NOON + HOUR)
    pair.customer.wait_until(NOON + DAY)
    assert pair.customer.reasons == ["version"]


@pytest.mark.parametrize(
    ("visitor", "customer", "stage"),
    [
        (["page.viewed"], [], "lead"),
        ([], ["page.viewed"], "lead"),
        (["page.viewed"], ["customer.registered"], "onboarding"),
        (["order.completed"], ["customer.registered"], "active"),
        (["page.viewed"], ["order.completed"], "active"),
        (["customer.registered"], ["order.completed"], "active"),
    ],
)
def test_the_stage_is_that_of_both(visitor: list[str], customer: list[str], stage: str) -> None:
    """The first stage yields, of two live ones the further holds, and a guest's order counts."""
    pair = TwoStories(make_ruleset(lifecycle=make_lifecycle()))
    for number, event_type in enumerate(visitor):
        pair.tell(event_type, at=NOON + number * HOUR)
    for number, event_type in enumerate(customer):
        pair.customer.tell(event_type, at=NOON + number * HOUR)
    pair.merge(NOON + DAY)
    assert pair.customer.document.stage == stage
    assert pair.customer.document.stage_since == NOON


def test_a_stage_of_silence_yields_to_a_live_one() -> None:
    """A cookie that slept for months says nothing of a customer who is active."""
    pair = TwoStories(make_ruleset(lifecycle=make_lifecycle()))
    pair.tell("order.completed", at=NOON - 100 * DAY)
    pair.visitor.wait_until(NOON)
    assert pair.visitor.document.stage == "dormant"
    pair.customer.tell("order.completed", at=NOON)
    pair.merge(NOON + HOUR)
    assert (pair.customer.document.stage, pair.customer.document.stage_since) == ("active", NOON)
    assert pair.customer.document.stage_due_at == NOON + 60 * DAY


def test_what_one_does_moves_the_others_stage() -> None:
    """The dormant customer came back as a visitor: a product viewed since makes active, as it would have under one name."""
    pair = TwoStories(make_ruleset(lifecycle=make_lifecycle()))
    pair.customer.tell("order.completed", at=NOON - 100 * DAY)
    pair.customer.wait_until(NOON)
    pair.tell("product.viewed", at=NOON)
    assert pair.customer.document.stage_due_at == NOON - 100 * DAY + 120 * DAY
    pair.merge(NOON + HOUR)
    assert (pair.customer.document.stage, pair.customer.document.stage_since) == ("active", NOON)
    assert pair.customer.document.stage_due_at == NOON + 60 * DAY


def test_of_two_stages_of_silence_the_nearer_holds() -> None:
    """Dormant before archived; time will tell."""
    pair = TwoStories(make_ruleset(lifecycle=make_lifecycle()), stage="archived", stage_since=NOON - DAY)
    pair.visitor.document.stage, pair.visitor.document.stage_since = "dormant", NOON - 9 * DAY
    pair.merge()
    assert (pair.customer.document.stage, pair.customer.document.stage_since) == ("dormant", NOON - 9 * DAY)
