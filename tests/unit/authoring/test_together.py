"""`simulate` over visitors who become customers: one process, several documents."""

from datetime import timedelta

import msgspec

from services.authoring.simulate import simulate
from services.authoring.together import groups_of, with_merges
from services.contracts.decisions import Decision
from services.contracts.events import Event
from tests.builders import DAY, HOUR, NOON, cap, exit_on, make_event, make_journey, make_policy, make_ruleset, reentry, send, wait

CART = make_journey("cart", wait(2 * HOUR), send("steps/1"), key="event.cart", exit_on=(exit_on(),), reentry=reentry("never"))
RULES = make_ruleset(CART, policy=make_policy(caps=(cap(2, 7 * DAY),)), assume_contactable=True)


def told(event_type: str, after: timedelta, customer: str, anonymous: str = "", **data: object) -> Event:
    """Return an event so long after noon."""
    event = make_event(event_type, data, id=f"{event_type}{after}{customer}", at=NOON + after, customer=customer)
    return msgspec.structs.replace(event, anonymousid=anonymous) if anonymous else event


def test_visitor_and_customer_are_one() -> None:
    """Carts of both, one of them ended by the order; the cap counts messages to both; and there is one customer."""
    events = [
        told("product.added", 0 * HOUR, "visitor", cart="1"),
        told("product.added", 1 * HOUR, "visitor", cart="2"),
        told("product.added", 1 * HOUR, "other", cart="9"),
        told("customer.identified", 2.5 * HOUR, "ann", anonymous="visitor"),
        told("product.added", 4 * HOUR, "ann", cart="3"),
        told("product.added", 5 * HOUR, "visitor", cart="4"),
        told("product.added", 9 * HOUR, "visitor", cart="1"),
        told("order.completed", 9 * HOUR, "other"),
        told("product.added", 10 * HOUR, "ann", cart="5"),
        told("order.completed", 11 * HOUR, "visitor"),
    ]
    decisions: list[Decision] = []
    figures = simulate(events, RULES, on_decision=decisions.append)
    assert (figures.events, figures.customers) == (10, 2)
    journey = figures.journeys[CART.name]
    assert (journey.enrolled, journey.exited, journey.sent) == (6, 1, 3)
    assert journey.skipped == {"frequency_cap": 2, "reentry": 1, "exited": 1}
    sent = [(decision.customer, decision.key) for decision in decisions if decision.verdict == "sent"]
    assert sorted(sent) == [("ann", "2"), ("other", "9"), ("visitor", "1")]


def test_who_becomes_the_same_customer_hangs_together() -> None:
    """Visitors of one customer, and of visitors; everybody else stands alone, in the order of their first events."""
    events = [
        told("page.viewed", 0 * HOUR, "a"),
        told("page.viewed", 0 * HOUR, "b"),
        told("page.viewed", 0 * HOUR, "c"),
        told("customer.identified", 1 * HOUR, "x", anonymous="a"),
        told("customer.identified", 2 * HOUR, "y", anonymous="x"),
        told("customer.identified", 3 * HOUR, "y", anonymous="c"),
    ]
    groups = groups_of(with_merges(events))
    assert [sorted({event.subject for event in group}) for group in groups] == [["a", "c", "x", "y"], ["b"]]
    assert [event.type for event in groups[0]][2:4] == ["customer.identified", "povod.merge"]


def test_without_merges_the_events_are_taken_as_they_are() -> None:
    """No copy is made of what can be millions."""
    events = [told("page.viewed", HOUR, "a")]
    assert with_merges(events) is events
