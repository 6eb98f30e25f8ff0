"""Whom an event that proves nothing may give away: visitors, and nobody who is a customer already."""

import msgspec
import pytest

from services.contracts.events import Event
from services.contracts.ids import EventId
from services.rules.core.document import CustomerDocument
from tests.builders import CUSTOMER, NOON, make_event, make_ruleset
from tests.two_stories import VISITOR, TwoStories

RULES = make_ruleset()


NAMED = make_event("page.viewed", at=NOON, customer=VISITOR)
AS_VISITOR = msgspec.structs.replace(NAMED, anonymousid=VISITOR)


def _pair(*events: Event) -> TwoStories:
    pair = TwoStories(RULES)
    for event in events:
        pair.visitor.tell_event(event)
    return pair


def _merge(pair: TwoStories, *, unproved: bool) -> CustomerDocument:
    event = make_event("povod.merge", {"into": CUSTOMER}, at=NOON, customer=VISITOR)
    pair.visitor.tell_event(msgspec.structs.replace(event, unproved=True) if unproved else event)
    return pair.visitor.document


@pytest.mark.parametrize("events", [(), (AS_VISITOR,)])
def test_a_visitor_may_be_given_away(events: tuple[Event, ...]) -> None:
    """Who was only ever a visitor, or is not known at all, becomes the customer whom a browser names."""
    assert _merge(_pair(*events), unproved=True).merged_into == CUSTOMER


def test_a_customer_may_not() -> None:
    """Who was named as a customer stays himself, and the refusal is kept with its reason."""
    document = _merge(_pair(NAMED), unproved=True)
    assert document.merged_into == ""
    assert [(each.into, each.reason) for each in document.refused_merges] == [(CUSTOMER, "known_customer")]


def test_a_server_may_give_away_anybody() -> None:
    """What a trusted key says holds: aliases of customers are made by servers."""
    assert _merge(_pair(NAMED), unproved=False).merged_into == CUSTOMER


def test_a_visitor_is_known_as_one() -> None:
    """From the first event on, where that is a visitor's."""
    assert [_pair(AS_VISITOR).visitor.document.visitor, _pair(NAMED).visitor.document.visitor] == [True, False]


def test_a_visitor_who_is_named_later_is_a_customer_from_then_on() -> None:
    """One event under a customer's name is enough, and visitors' events after it change nothing."""
    named, later = (msgspec.structs.replace(event, id=EventId(name)) for event, name in ((NAMED, "named"), (AS_VISITOR, "later")))
    pair = _pair(AS_VISITOR, named, later)
    assert not pair.visitor.document.visitor
    assert _merge(pair, unproved=True).merged_into == ""
