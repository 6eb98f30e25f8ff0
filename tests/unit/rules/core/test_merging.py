"""A visitor becomes a customer: the mark, what it refuses, and what flows on."""

import msgspec
import pytest

from services.contracts.errors import InvalidEvent
from services.contracts.events import Event
from services.contracts.ids import CustomerId, JourneyName
from services.contracts.merges import encode_via, merge_of, passed_by
from services.rules.core.carrying import MAX_CARRIED, fit_document
from services.rules.core.decide import decide, needs_history_lookup
from services.rules.core.document import (
    SCHEMA_VERSION,
    CustomerDocument,
    Entry,
    RefusedMerge,
    decode_document,
    encode_document,
    new_document,
)
from services.rules.core.effects import Forward, Outcome
from services.rules.core.forwarding import MAX_HOPS
from services.rules.core.inputs import EventInput
from tests.builders import CUSTOMER, HOUR, NOON, exit_on, make_document, make_event, make_journey, make_ruleset, on, wait
from tests.two_stories import VISITOR, TwoStories, event_with

CART = make_journey("cart", wait(HOUR), key="event.cart", exit_on=(exit_on(),))
RULES = make_ruleset(CART)


def _merged() -> TwoStories:
    pair = TwoStories(RULES)
    pair.tell("product.added", {"cart": "1"})
    pair.merge(NOON + HOUR / 4)
    return pair


def test_a_visitor_becomes_a_mark() -> None:
    """Nothing is left of the document but the mark and the ids of what was decided; it has no timers, and older releases refuse it."""
    pair = _merged()
    mark = pair.visitor.document
    assert encode_document(mark) == encode_document(
        CustomerDocument(
            customer=CustomerId(VISITOR), schema_version=SCHEMA_VERSION, seq=2, recent=mark.recent, merged_into=CustomerId(CUSTOMER)
        )
    )
    assert len(mark.recent) == 24
    assert decode_document(encode_document(mark)) == mark


def test_the_content_goes_on_as_one_event() -> None:
    """Named after visitor, customer and merge, with the merge's times; the same for the same merge."""
    (event,), (again,) = _merged().visitor.forwards, _merged().visitor.forwards
    assert event == again
    assert (event.type, event.source, event.subject, event.via) == ("povod.merged", "povod", CUSTOMER, VISITOR)
    assert (event.time, event.receivedtime) == (NOON + HOUR / 4, NOON + HOUR / 4)
    assert (event.data["from"], event.data["merge"]) == (VISITOR, f"povod.merge@{(NOON + HOUR / 4).isoformat()}")
    assert list(event.data["document"]["enrolments"].values())[0]["key"] == "1"  # noqa: RUF015 - the only one


def test_later_events_are_passed_on() -> None:
    """With id, source and times as they were, and the visitor's name in `via`; the visitor's document stays as it is."""
    pair = _merged()
    mark = pair.visitor.document
    outcome = pair.tell("product.added", {"cart": "2"}, at=NOON + HOUR, id="later")
    event = make_event("product.added", {"cart": "2"}, at=NOON + HOUR, id="later")
    assert outcome == Outcome((Forward(msgspec.structs.replace(event, via=VISITOR)),), passed_on=True)
    assert pair.visitor.document is mark
    pair.pass_on()
    assert pair.customer.enrolled == ["cart"]


def test_a_repeat_of_what_was_decided_flows_nowhere() -> None:
    """The visitor's event, posted again after the merge, is a duplicate: under the old name as under the new one."""
    pair = _merged()
    assert pair.tell("product.added", {"cart": "1"}).duplicate
    assert pair.customer.give(EventInput(make_event("product.added", {"cart": "1"})), NOON + HOUR).duplicate
    assert len(pair.visitor.forwards) == 1


def test_what_the_visitor_had_to_forget_stays_noted() -> None:
    """So that history is asked about a repeat, as before."""
    pair = TwoStories(RULES)
    pair.visitor.document.recent_lost_at = NOON - HOUR
    pair.merge()
    assert (pair.visitor.document.recent_lost_at, pair.customer.document.recent_lost_at) == (NOON - HOUR, NOON - HOUR)
    assert needs_history_lookup(pair.visitor.document, make_event(customer=VISITOR))


def test_what_was_passed_on_twice_counts_once() -> None:
    """The customer's document knows the event by source and id."""
    pair = _merged()
    for _ in range(2):
        pair.tell("product.added", {"cart": "2"}, at=NOON + HOUR, id="later")
    pair.pass_on()
    assert (len(pair.visitor.forwards), pair.customer.enrolled) == (3, ["cart"])


@pytest.mark.parametrize(
    ("into", "reason"),
    [("c-2", "merged_already"), ("", "no_customer"), (None, "no_customer"), (5, "no_customer"), ("x" * 256, "no_customer")],
)
def test_a_second_merge_is_refused_with_its_reason(into: object, reason: str) -> None:
    """The first customer holds; whatever else is asked for stands in the document."""
    pair = _merged()
    pair.merge(NOON + HOUR, into, "second")
    assert pair.visitor.document.merged_into == CUSTOMER
    assert pair.visitor.document.refused_merges == (RefusedMerge(str(into)[:255], NOON + HOUR, reason),)
    assert len(pair.visitor.forwards) == 1


@pytest.mark.parametrize("into", [CUSTOMER, VISITOR])
def test_the_same_merge_again_changes_nothing(into: str) -> None:
    """A site identifies on every page; into oneself is no merge either."""
    pair = _merged()
    pair.merge(NOON + HOUR, into, "second")
    assert (pair.visitor.document.merged_into, pair.visitor.document.refused_merges, len(pair.visitor.forwards)) == (CUSTOMER, (), 1)
    alone = TwoStories(RULES)
    alone.merge(into=VISITOR)
    assert (alone.visitor.document.merged_into, alone.visitor.document.schema_version) == ("", 1)


def test_refused_merges_are_bounded() -> None:
    """The newest ten."""
    pair = _merged()
    for number in range(12):
        pair.merge(NOON + HOUR, f"c-{number + 2}", str(number))
    assert [refused.into for refused in pair.visitor.document.refused_merges] == [f"c-{number}" for number in range(4, 14)]


def test_nobody_becomes_who_became_them() -> None:
    """A customer knows who became them, and who became those."""
    pair = _merged()
    pair.customer.tell("povod.merge", {"into": VISITOR}, at=NOON + HOUR)
    assert pair.customer.document.merged_into == ""
    assert pair.customer.document.refused_merges == (RefusedMerge(VISITOR, NOON + HOUR, "cycle"),)


def test_an_event_that_names_both_tells_the_visitor_until_the_visitor_has_answered() -> None:
    """As ingest does beside it, with the same id: whoever writes events to the topic need not know of merges."""
    pair = TwoStories(RULES)
    identified = event_with("customer.identified", anonymousid=VISITOR)
    merge = merge_of(identified)
    pair.customer.tell_event(identified)
    assert merge is not None
    assert pair.customer.forwards == [merge]
    assert (merge.id, merge.type, merge.subject, merge.data) == (f"merge:{identified.id}", "povod.merge", VISITOR, {"into": CUSTOMER})
    pair.visitor.tell_event(merge)
    assert pair.visitor.tell_event(merge).duplicate
    pair.pass_on()
    pair.customer.tell_event(event_with("customer.identified", at=NOON + HOUR, anonymousid=VISITOR))
    pair.customer.tell_event(event_with("customer.identified", at=NOON + HOUR, anonymousid=CUSTOMER))
    assert len(pair.customer.forwards) == 1


def _mark(customer: str, into: str) -> CustomerDocument:
    document = new_document(CustomerId(customer))
    document.merged_into = CustomerId(into)
    return document


@pytest.mark.parametrize(
    ("via", "drops"),
    [
        ("ann,bob", True),
        ("zoe,ann,bob", True),
        ("ann,zoe,ann,bob", True),
        ("ann,zoe", False),  # that mark stood here before
        ("zoe,bob", False),  # it has not passed ann
        ("aaron,ann,bob", True),  # aaron leads into the round, he is not in it
        ("ann,bob,aaron", False),  # aaron is in it, and smaller
    ],
)
def test_the_smallest_of_a_round_drops_its_mark(via: str, *, drops: bool) -> None:
    """Only with an event that came round over the mark that stands now; it is decided then, and the cycle noted."""
    document = _mark("ann", "bob")
    after, outcome = decide(document, EventInput(event_with(via=via, subject=CustomerId("ann"))), RULES, NOON)
    assert (after.merged_into == "", outcome.passed_on) == (drops, not drops)
    assert after.refused_merges == ((RefusedMerge("bob", NOON, "cycle"),) if drops else ())
    assert document.merged_into == "bob"


def test_an_event_does_not_go_on_for_ever() -> None:
    """After fifty customers it is given up, with a reason."""
    names = tuple(CustomerId(f"n{number}") for number in range(MAX_HOPS))
    with pytest.raises(InvalidEvent, match="passed on by 50 customers") as raised:
        decide(_mark("ann", "bob"), EventInput(event_with(via=encode_via(names))), RULES, NOON)
    assert raised.value.code == "too_many_hops"


def test_names_in_via_may_hold_anything() -> None:
    """Commas, blanks, percent signs and other alphabets come back as they were."""
    names = (CustomerId("a,b"), CustomerId("c %2C d"), CustomerId("Иван/=;"))
    event: Event = event_with(via=encode_via(names))
    assert tuple(passed_by(event)) == names
    assert encode_via(names[:2]) == "a%2Cb,c%20%252C%20d"
    assert passed_by(make_event()) == []


def _big() -> CustomerDocument:
    pair = TwoStories(make_ruleset(CART, make_journey("views", wait(), trigger=on("page.viewed"), key="event.page")))
    for number in range(60):
        pair.tell("product.added", {"cart": str(number), "text": "x" * 15_000}, id=str(number))
    document = pair.visitor.document
    document.traits = {f"trait {number}": "y" * 4_000 for number in range(200)}
    return document


def test_what_is_too_much_is_left_out_and_counted() -> None:
    """The newest enrolments go along, and traits only while there is room; the ledger has a row for each enrolment left out."""
    document = _big()
    fitted, left_out = fit_document(document)
    assert len(encode_document(document)) > MAX_CARRIED >= len(encode_document(fitted))
    assert set(left_out) == {"enrolments", "traits"}
    assert [each.key for each in fitted.enrolments.values()] == [str(number) for number in range(60 - len(fitted.enrolments), 60)]
    assert len(fitted.traits) == 200 - left_out["traits"]
    pair = TwoStories(RULES)
    pair.visitor.document = document
    pair.merge(NOON + HOUR / 2)
    assert pair.visitor.forwards[0].data["left_out"] == left_out
    assert pair.visitor.reasons == ["loop_limit"] * left_out["enrolments"]


def test_what_re_entry_remembers_is_trimmed_to_the_newest() -> None:
    """Entries of all journeys compete by their time."""
    document = make_document()
    keys = {str(number): Entry(NOON + number * HOUR) for number in range(50)}
    document.entries = {JourneyName("cart"): keys, JourneyName("views"): {"old": Entry(NOON - HOUR)}}
    fitted, left_out = fit_document(document, len(encode_document(make_document())) + 600)
    ((journey, kept),) = fitted.entries.items()
    assert (journey, list(kept)[-1]) == ("cart", "49")
    assert left_out == {"entries": 51 - len(kept)}
