"""A batch being decided in memory: the order of events and timers, and timers that can't be fired."""

from datetime import datetime, timedelta

import msgspec

from services.contracts.codec import encode_event
from services.contracts.events import Event
from services.contracts.moments import to_micros
from services.rules.core.document import CustomerDocument
from services.rules.core.ruleset import Ruleset
from services.rules.intake import Accepted
from services.rules.turnover import Turnover
from services.runtime.eventlog.port import Record
from tests.builders import CUSTOMER, HOUR, NOON, make_event, make_journey, make_ruleset, send, wait

NOW = NOON + 5 * HOUR
RULESET = make_ruleset(make_journey("cart", wait(), send("steps/1")))


def accepted(event: Event) -> Accepted:
    """Return an event as it comes out of the intake."""
    value = encode_event(event)
    return Accepted(Record("povod.events", 0, 0, b"", value, (), NOON), event, value.decode())


def viewed(at: datetime) -> Accepted:
    """Return an event that starts nothing."""
    return accepted(make_event("page.viewed", at=at))


def in_cart() -> CustomerDocument:
    """Return a customer who put something into the cart at noon."""
    turnover = Turnover(RULESET, NOON, 0, {})
    turnover.take(accepted(make_event("product.added")))
    return next(document for document, _ in turnover.changed())


def kinds(turnover: Turnover) -> list[str]:
    """Return the kinds of the inputs decided, in order."""
    return [row.kind for row in turnover.history]


def test_a_timer_goes_before_the_first_record_received_after_it() -> None:
    """A timer due at one fires before the record of two o'clock and after that of half past twelve."""
    turnover = Turnover(RULESET, NOW, 0, {CUSTOMER: in_cart()})
    turnover.take(viewed(NOON + HOUR / 2))
    turnover.take(viewed(NOON + 2 * HOUR))
    assert kinds(turnover) == ["event", "timer", "event"]
    assert [row.seq for row in turnover.history] == [2, 3, 4]
    assert turnover.history[1].payload == '{"due_at":"2024-05-13T13:00:00+00:00"}'


def test_the_frontier_never_goes_back_and_never_beyond_now() -> None:
    """A record received earlier than one before it does not move the frontier, one from the future moves it to now only."""
    turnover = Turnover(RULESET, NOW, to_micros(NOON + HOUR), {})
    turnover.take(viewed(NOON))
    assert turnover.frontier == to_micros(NOON + HOUR)
    turnover.take(accepted(make_event("page.viewed", at=NOON, received_at=NOON + timedelta(days=400), id="wild")))
    assert turnover.frontier == to_micros(NOW)


def test_timers_that_can_not_be_fired_are_parked_and_hold_up_nothing() -> None:
    """A customer's failing timers are looked at again in an hour; the customer's events go on being decided."""
    broken: Ruleset = msgspec.structs.replace(RULESET, programs={})
    turnover = Turnover(broken, NOW, 0, {CUSTOMER: in_cart()})
    turnover.take(viewed(NOON + 3 * HOUR))
    assert turnover.due_customers() == [CUSTOMER]
    turnover.fire(CUSTOMER)
    assert list(turnover.parked) == [CUSTOMER]
    assert kinds(turnover) == ["event"]
    assert [row.next_due_at for _, row in turnover.changed()] == [to_micros(NOW + HOUR)]
    assert turnover.due_customers() == []


def test_only_what_changed_is_written() -> None:
    """A duplicate leaves the document as it was: no row."""
    turnover = Turnover(RULESET, NOON, 0, {CUSTOMER: in_cart()})
    turnover.take(accepted(make_event("product.added")))
    assert list(turnover.changed()) == []
    assert turnover.counts == {"duplicate": 1}


def test_a_touched_customer_is_written_as_it_is() -> None:
    """A customer whose stored due time was wrong is written again with the right one."""
    turnover = Turnover(RULESET, NOON, 0, {CUSTOMER: in_cart()})
    turnover.touch(CUSTOMER)
    assert [(row.customer, row.next_due_at) for _, row in turnover.changed()] == [(CUSTOMER, to_micros(NOON + HOUR))]
