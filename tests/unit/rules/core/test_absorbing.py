"""What a visitor was is taken over by the customer whom they became: profile, consents, activity, caps."""

from typing import Any

import pytest

from services.contracts.errors import Rejected
from services.contracts.ids import Channel, CustomerId, MessageId
from services.rules.core.absorbing import MAX_SOURCES
from services.rules.core.document import Consent, Preference, Suppression, encode_document, next_due_at
from services.rules.core.inputs import EventInput
from services.rules.core.recent import MAX_RECORDS, join, remember
from tests.builders import (
    CUSTOMER,
    DAY,
    EMAIL,
    HOUR,
    NOON,
    SMS,
    cap,
    make_document,
    make_event,
    make_journey,
    make_policy,
    make_ruleset,
    send,
    silence,
)
from tests.story import Story
from tests.two_stories import VISITOR, TwoStories

TELEGRAM = Channel("telegram")
MORNING = NOON - 6 * HOUR


def merged(visitor: dict[str, Any], customer: dict[str, Any] | None = None) -> TwoStories:
    """Return two stories after their merge at noon; the fields are those of the documents before it."""
    pair = TwoStories(make_ruleset(), subscribed=(), **(customer or {}))
    for name, value in visitor.items():
        setattr(pair.visitor.document, name, value)
    pair.merge()
    return pair


def test_the_customers_own_words_win() -> None:
    """Traits and addresses are filled up, language and zone taken where there is none."""
    visitor = {"traits": {"name": "V", "size": 5}, "addresses": {EMAIL: "v@v", SMS: "+7"}, "language": "ru", "timezone": "Asia/Omsk"}
    document = merged(visitor, {"traits": {"name": "C"}, "addresses": {EMAIL: "c@c"}, "language": "en"}).customer.document
    assert (document.traits, document.addresses) == ({"name": "C", "size": 5}, {EMAIL: "c@c", SMS: "+7"})
    assert (document.language, document.timezone, document.event_timezone) == ("en", "Asia/Omsk", "")
    assert (document.merged_from, document.schema_version) == ((VISITOR,), 2)


def test_traits_stay_bounded() -> None:
    """200 of both."""
    mine = {f"c{number}": number for number in range(150)}
    document = merged({"traits": {f"v{number}": number for number in range(150)}}, {"traits": mine}).customer.document
    assert len(document.traits) == 200
    assert document.traits.items() >= mine.items()


@pytest.mark.parametrize(
    ("visitors", "customers", "holds"),
    [
        (("subscribed", NOON), ("unsubscribed", MORNING), "subscribed"),
        (("unsubscribed", NOON), ("subscribed", MORNING), "unsubscribed"),
        (("subscribed", MORNING), ("unsubscribed", NOON), None),
        (("subscribed", NOON), ("unsubscribed", NOON), None),
        (("unsubscribed", NOON), ("subscribed", NOON), "unsubscribed"),
    ],
)
def test_the_newest_consent_holds(visitors: tuple[str, Any], customers: tuple[str, Any], holds: str | None) -> None:
    """Of two at the same moment the withdrawal; the ledger gets what changed, with where it was said."""
    pair = merged({"consents": {EMAIL: Consent(*visitors)}}, {"consents": {EMAIL: Consent(*customers)}})
    assert pair.customer.document.consents == {EMAIL: Consent(*(visitors if holds else customers))}
    written = [(grant.customer, grant.channel, grant.state, grant.at, grant.source) for grant in pair.customer.consents]
    assert written == ([(CUSTOMER, EMAIL, holds, visitors[1], "povod")] if holds else [])
    assert all(grant.evidence == f"{pair.visitor.forwards[0].id}, said as {VISITOR}" for grant in pair.customer.consents)


def test_a_visitors_no_on_the_page_is_no_news_for_the_customer() -> None:
    """What the visitor's page refused, and goes on refusing, takes back no consent that the customer gives when he says who he is."""
    pair = TwoStories(make_ruleset(policy=make_policy(consent_categories={"Newsletter": (EMAIL,)})), subscribed=())
    pair.visitor.document.refused_channels = (EMAIL,)
    pair.merge()
    pair.customer.tell("consent.given", {"channel": "email"}, id="given", at=NOON + HOUR)
    banner = {"context": {"consent": {"categoryPreferences": {"Newsletter": False}}}}
    pair.customer.tell("page.viewed", banner, id="viewed", at=NOON + 2 * HOUR)
    assert pair.customer.document.consents == {EMAIL: Consent("subscribed", NOON + HOUR)}


def test_the_suppression_of_the_address_in_use_holds() -> None:
    """Else this customer's own; a channel without one takes the visitor's."""
    visitor = {"suppressed": {EMAIL: Suppression("c@c", "bounced"), SMS: Suppression("+7", "failed")}}
    customer = {"addresses": {EMAIL: "c@c"}, "suppressed": {EMAIL: Suppression("old@c", "complained")}}
    document = merged(visitor, customer).customer.document
    assert document.suppressed == {EMAIL: Suppression("c@c", "bounced"), SMS: Suppression("+7", "failed")}
    kept = merged({"suppressed": {EMAIL: Suppression("v@v", "bounced")}}, customer).customer.document
    assert kept.suppressed == {EMAIL: Suppression("old@c", "complained")}


def test_times_are_those_of_both() -> None:
    """First seen, last active, and the last of each type of event."""
    visitor = {"first_seen_at": MORNING, "last_activity_at": MORNING + HOUR, "last_seen": {"a": MORNING + HOUR, "b": MORNING}}
    customer = {"first_seen_at": NOON, "last_activity_at": MORNING, "last_seen": {"a": MORNING, "c": NOON}}
    document = merged(visitor, customer).customer.document
    assert (document.first_seen_at, document.last_activity_at) == (MORNING, MORNING + HOUR)
    assert document.last_seen == {"a": MORNING + HOUR, "b": MORNING, "c": NOON}


@pytest.mark.parametrize(("visitor", "customer", "holds"), [(1, 0, "less"), (0, 1, "normal"), (0, None, "less")])
def test_the_newest_preference_holds(visitor: int, customer: int | None, holds: str) -> None:
    """Of both, or the only one."""
    mine = {"preference": Preference("normal", MORNING + customer * HOUR)} if customer is not None else {}
    document = merged({"preference": Preference("less", MORNING + visitor * HOUR)}, mine).customer.document
    assert document.preference is not None
    assert document.preference.frequency == holds


def test_caps_count_both() -> None:
    """Two messages to the visitor fill the customer's cap of two."""
    rules = make_ruleset(make_journey(), policy=make_policy(caps=(cap(2, 7 * DAY),)))
    pair = TwoStories(rules)
    pair.visitor.document = make_document(customer=CustomerId(VISITOR))
    for number in range(2):
        pair.tell(at=NOON + number * HOUR)
    pair.merge(NOON + 2 * HOUR)
    pair.customer.tell(at=NOON + 3 * HOUR)
    assert pair.customer.reasons == ["frequency_cap"]
    assert pair.customer.decisions[0].detail["gates"][-1]["caps"] == [{"cap": f"2 per {7 * DAY}", "count": 2, "max": 2}]


def test_outcomes_of_the_visitors_messages_reach_the_customer() -> None:
    """They come back under the visitor's id, are passed on, and settle slot and message."""
    pair = TwoStories(make_ruleset())
    pair.visitor.document = make_document(customer=CustomerId(VISITOR))
    pair.tell()
    (message,) = pair.visitor.messages
    pair.merge(NOON + HOUR)
    assert list(pair.customer.document.slots) == [message.message_id]
    pair.tell("message.failed", {"message_id": message.message_id, "channel": "email"}, at=NOON + 2 * HOUR)
    pair.pass_on()
    assert (pair.customer.document.slots, pair.customer.document.enrolments) == ({}, {})


def test_a_customer_who_said_no_gets_nothing_that_is_on_its_way_to_the_visitor() -> None:
    """Dispatch asks the visitor's ledger; so the message is recalled, at the merge and at any later withdrawal."""
    for said_at in (MORNING, NOON + 2 * HOUR):
        pair = TwoStories(make_ruleset())
        pair.visitor.document = make_document(customer=CustomerId(VISITOR), consents={EMAIL: Consent("subscribed", NOON - DAY)})
        pair.tell()
        if said_at == MORNING:
            pair.customer.tell("consent.withdrawn", {"channel": "email"}, at=MORNING)
        pair.merge(NOON + HOUR)
        if said_at != MORNING:
            assert pair.customer.recalls == []
            pair.customer.tell("povod.consent", {"channel": "email", "state": "unsubscribed"}, at=said_at)
        (recall,) = pair.customer.recalls
        assert (recall.message_id, recall.customer, recall.reason) == (pair.visitor.messages[0].message_id, CUSTOMER, "unsubscribed")


def test_who_leaves_everything_gets_nothing_that_is_on_its_way() -> None:
    """Whatever its channel."""
    pair = TwoStories(make_ruleset())
    pair.visitor.document = make_document(customer=CustomerId(VISITOR))
    pair.tell()
    pair.merge(NOON + HOUR)
    pair.customer.tell("povod.consent", {"channel": "all", "state": "unsubscribed"}, at=NOON + 2 * HOUR)
    assert [recall.message_id for recall in pair.customer.recalls] == [pair.visitor.messages[0].message_id]


def test_what_is_said_under_the_old_name_is_written_under_the_new_one() -> None:
    """An unsubscribe link of a message to the visitor holds for the customer: in the document and in the ledger."""
    pair = TwoStories(make_ruleset())
    pair.merge()
    pair.tell("povod.consent", {"channel": "email", "state": "unsubscribed"}, at=NOON + HOUR, id="link")
    pair.pass_on()
    assert pair.customer.document.consents[EMAIL] == Consent("unsubscribed", NOON + HOUR)
    assert [(grant.customer, grant.state, grant.evidence) for grant in pair.customer.consents] == [
        (CUSTOMER, "unsubscribed", f"povod.consent link, said as {VISITOR}")
    ]
    pair.customer.tell("povod.consent", {"channel": "sms", "state": "unsubscribed"}, at=NOON + HOUR)
    assert len(pair.customer.consents) == 1


def test_silence_counts_from_the_later_activity() -> None:
    """The timer is armed for what both have done; a silence that was complete before the merge is not complete again."""
    rules = make_ruleset(make_journey("back", send(), trigger=silence(14 * DAY)))
    pair = TwoStories(rules)
    pair.tell("page.viewed", at=NOON)
    pair.merge(NOON + HOUR)
    assert next_due_at(pair.customer.document) == NOON + 14 * DAY
    pair.customer.wait_until(NOON + 20 * DAY)
    assert pair.customer.sent_at == [NOON + 14 * DAY]
    late = TwoStories(rules)
    late.tell("page.viewed", at=NOON)
    late.visitor.wait_until(NOON + 15 * DAY)
    late.merge(NOON + 15 * DAY)
    assert next_due_at(late.customer.document) is None


def test_it_is_no_sign_of_life_and_triggers_nothing() -> None:
    """Nothing was ever done by either: nobody was seen."""
    pair = TwoStories(make_ruleset(make_journey(trigger=None)))
    pair.merge()
    document = pair.customer.document
    assert (document.first_seen_at, document.last_activity_at, document.last_seen, pair.customer.enrolled) == (None, None, {}, [])


def test_a_chain_ends_at_its_end() -> None:
    """The visitor becomes one customer, who becomes another: later events reach the last, who knows all names."""
    pair = TwoStories(make_ruleset())
    pair.tell("product.added", at=MORNING)
    pair.merge()
    pair.customer.tell("povod.merge", {"into": "c-2"}, at=NOON + HOUR)
    last = Story(make_ruleset(), make_document(customer=CustomerId("c-2")))
    pair.tell("page.viewed", at=NOON + 2 * HOUR)
    pair.pass_on()
    for event in pair.customer.forwards:
        last.give(EventInput(event), event.receivedtime)
    assert last.document.merged_from == (VISITOR, CUSTOMER)
    assert last.document.last_seen == {"product.added": MORNING, "page.viewed": NOON + 2 * HOUR}
    assert [event.via for event in pair.customer.forwards] == [CUSTOMER, f"{VISITOR},{CUSTOMER}"]


def test_names_of_visitors_are_bounded() -> None:
    """The newest fifty."""
    names = tuple(CustomerId(f"v{number}") for number in range(60))
    document = merged({"merged_from": names}).customer.document
    assert document.merged_from == (*names[-MAX_SOURCES + 1 :], VISITOR)


def test_ids_of_both_are_remembered_in_order_of_time() -> None:
    """The newest thousand; what had to be forgotten is noted."""
    mine, other = make_document(), make_document()
    for number in range(600):
        remember(mine, number.to_bytes(8), NOON + number * HOUR / 60)
        remember(other, (number + 500).to_bytes(8), NOON + number * HOUR / 60 + HOUR / 120)
    join(mine, other)
    assert len(mine.recent) // 12 == MAX_RECORDS
    times = [int.from_bytes(mine.recent[start + 8 : start + 12]) for start in range(0, len(mine.recent), 12)]
    assert times == sorted(times)
    assert mine.recent_lost_at == NOON + 99 * HOUR / 60


@pytest.mark.parametrize("data", [{}, {"document": "x"}, {"document": {"customer": "v"}}])
def test_a_merge_without_content_is_a_dead_letter(data: dict[str, Any]) -> None:
    """What holds no document can't be taken over, and changes nothing."""
    story = Story(make_ruleset())
    before = encode_document(story.document)
    with pytest.raises(Rejected, match="can not be read"):
        story.give(EventInput(make_event("povod.merged", data)), NOON)
    assert encode_document(story.document) == before


def test_slots_stay_bounded() -> None:
    """Those that count the longest."""
    pair = TwoStories(make_ruleset())
    pair.visitor.document = make_document(customer=CustomerId(VISITOR))
    pair.tell()
    (slot,) = pair.visitor.document.slots.values()
    pair.visitor.document.slots = {MessageId(f"m{number:04}"): slot for number in range(1_000)}
    pair.customer.tell(at=NOON + HOUR)
    pair.merge(NOON + 2 * HOUR)
    assert len(pair.customer.document.slots) == 1_000
    assert pair.customer.messages[0].message_id in pair.customer.document.slots
