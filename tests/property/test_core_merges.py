"""Whoever becomes whom, in whatever order partitions decide and publish: one customer is left, and every event is decided once."""

from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts.events import Event
from services.contracts.ids import CustomerId
from services.contracts.merges import MERGE
from services.rules.core.document import CustomerDocument
from tests.builders import DAY, NOON, exit_on, make_event, make_journey, make_lifecycle, make_ruleset, on, wait
from tests.bus import Bus

MINUTE = timedelta(minutes=1)
NAMES = ("ann", "bob", "cy,d", "dé %")
RULES = make_ruleset(
    make_journey("cart", wait(10 * DAY), trigger=on("product.added"), key="event.cart", exit_on=(exit_on(),)),
    lifecycle=make_lifecycle(),
)


class Deed(NamedTuple):
    """What one customer does: an event, or becoming another; a client may post it twice."""

    who: str
    what: str
    into: str
    cart: str
    state: bool
    late: int
    twice: bool


DEEDS = st.lists(
    st.builds(
        Deed,
        who=st.sampled_from(NAMES),
        what=st.sampled_from(
            ["product.added", "order.completed", "page.viewed", "customer.identified", "customer.registered", "povod.preferences", MERGE]
        ),
        into=st.sampled_from(NAMES),
        cart=st.sampled_from(["1", "2"]),
        state=st.booleans(),
        late=st.integers(0, 30),
        twice=st.booleans(),
    ),
    max_size=14,
)
CARTS = st.lists(
    st.builds(
        Deed,
        who=st.sampled_from(NAMES[:2]),
        what=st.sampled_from(["product.added", "product.added", "order.completed", MERGE]),
        into=st.just("ann"),
        cart=st.sampled_from(["1", "2"]),
        state=st.just(value=True),
        late=st.integers(0, 200),
        twice=st.booleans(),
    ),
    max_size=10,
)
SCHEDULE = st.lists(st.tuples(st.integers(0, 11), st.booleans()), max_size=80)
Schedule = list[tuple[int, bool]]


def _events(deeds: list[Deed]) -> list[Event]:
    found = []
    for number, deed in enumerate(deeds):
        received_at = NOON + number * 60 * MINUTE
        data = {"into": deed.into, "cart": deed.cart, "consent": {"email": deed.state}, "frequency": "less" if deed.state else "normal"}
        happened_at = received_at - deed.late * MINUTE
        event = make_event(deed.what, data, id=str(number), at=happened_at, received_at=received_at, customer=deed.who)
        if deed.what == "customer.registered":
            event = msgspec.structs.replace(event, anonymousid=deed.into)
        found += [event, event] if deed.twice else [event]
    return found


def _run(events: list[Event], schedule: Schedule) -> Bus:
    bus = Bus(RULES, NAMES)
    bus.post(*events)
    for choice, twice in schedule:
        bus.step(choice, twice=twice)
    bus.drain()
    return bus


@given(DEEDS, SCHEDULE)
@settings(max_examples=300, deadline=None)
def test_every_event_is_decided_once(deeds: list[Deed], schedule: Schedule) -> None:
    """Posted twice, published twice, passed on or going round: one history has it, once; and all marks end at somebody."""
    events = _events(deeds)
    bus = _run(events, schedule)
    posted = {(event.source, event.id) for event in events}
    assert {identity: times for identity, times in bus.decided.items() if identity in posted} == dict.fromkeys(posted, 1)
    assert set(bus.decided.values()) <= {1}
    for customer in bus.documents:
        assert not bus.documents[bus.root_of(customer)].merged_into


@given(CARTS, SCHEDULE)
@settings(max_examples=300, deadline=None)
def test_nobody_stays_in_a_journey_twice_or_past_its_exit(deeds: list[Deed], schedule: Schedule) -> None:
    """No two enrolments are open under one key, none is open whose exit happened later, and a mark holds none at all."""
    bus = _run(_events(deeds), schedule)
    orders: dict[CustomerId, list[datetime]] = {}
    for event in _events(deeds):
        if event.type == "order.completed":
            orders.setdefault(bus.decided_by[event.source, event.id], []).append(event.time)
    for customer, document in bus.documents.items():
        open_ = [enrolment for enrolment in document.enrolments.values() if enrolment.step]
        assert len({enrolment.key for enrolment in open_}) == len(open_)
        last = max((at for decider, times in orders.items() if bus.root_of(decider) == customer for at in times), default=None)
        assert last is None or all(enrolment.triggered_at >= last for enrolment in open_)
        assert not (document.merged_into and (open_ or document.slots or document.traits))


def _timeless(document: CustomerDocument) -> tuple[object, ...]:
    """Return what must not hang on the order in which two partitions decide."""
    consents = {channel: (consent.state, consent.at) for channel, consent in document.consents.items()}
    return document.first_seen_at, document.last_activity_at, document.last_seen, consents, document.preference


@given(DEEDS, SCHEDULE, st.sampled_from(NAMES))
@settings(max_examples=300, deadline=None)
def test_any_order_ends_as_the_sorted_one(deeds: list[Deed], schedule: Schedule, target: str) -> None:
    """Visitors become one customer: the customer knows the same of them, whichever partition was behind."""
    ordinary = [
        deed._replace(what="page.viewed" if deed.what in {MERGE, "customer.registered"} else deed.what, twice=False) for deed in deeds
    ]
    middle = len(ordinary) // 2
    merges = [Deed(name, MERGE, target, "1", state=False, late=0, twice=False) for name in NAMES]
    events = _events([*ordinary[:middle], *merges, *ordinary[middle:]])
    shuffled = _run(events, schedule)
    in_order = Bus(RULES, NAMES)
    for event in events:
        in_order.post(event)
        in_order.drain()
    assert shuffled.unmarked == in_order.unmarked == [target]
    assert _timeless(shuffled.documents[CustomerId(target)]) == _timeless(in_order.documents[CustomerId(target)])


@pytest.mark.parametrize("size", [2, 3, 4])
@given(SCHEDULE, DEEDS)
@settings(max_examples=200, deadline=None)
def test_a_round_of_merges_leaves_one_customer(size: int, schedule: Schedule, deeds: list[Deed]) -> None:
    """Each becomes the next, the last the first, at once or one after another: one is left unmarked, who knows all that was done."""
    names = NAMES[:size]
    ring = [Deed(name, MERGE, names[(place + 1) % size], "1", state=False, late=0, twice=False) for place, name in enumerate(names)]
    others = [deed._replace(what="product.added", who=names[NAMES.index(deed.who) % size], late=0) for deed in deeds[:6]]
    bus = _run(_events([*others[:3], *ring, *others[3:]]), schedule)
    left = [customer for customer in bus.unmarked if customer in names]
    assert len(left) == 1
    assert set(bus.decided.values()) == {1}
    added = [event.time for event in _events(others[:3])]
    assert not added or bus.documents[left[0]].first_seen_at == min(added)
