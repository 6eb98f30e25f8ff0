"""What events say of the customer."""

from typing import Any

import pytest

from services.contracts.ids import Channel
from services.rules.core.document import Consent
from services.rules.core.effects import GrantConsent
from tests.builders import CUSTOMER, DAY, EMAIL, NOON, SMS, make_document, make_journey, make_ruleset, on, send
from tests.story import Story

TELEGRAM = Channel("telegram")


def story() -> Story:
    """Return the story of somebody unknown."""
    return Story(make_ruleset(), make_document(subscribed=()))


def test_a_registration_tells_who_it_is() -> None:
    """Addresses, language and zone have their places, the rest is traits."""
    told = story()
    told.tell(
        "customer.registered",
        {
            "email": "a@b",
            "phone": "+79990000000",
            "telegram": 12345,
            "language": "ru",
            "timezone": "Asia/Omsk",
            "name": "Анна",
            "traits": {"vip": True},
        },
    )
    document = told.document
    assert document.addresses == {EMAIL: "a@b", SMS: "+79990000000", TELEGRAM: "12345"}
    assert (document.language, document.timezone) == ("ru", "Asia/Omsk")
    assert document.traits == {"name": "Анна", "vip": True}


def test_traits_may_hold_the_addresses() -> None:
    """Analytics libraries send everything in `traits`."""
    told = story()
    told.tell("customer.identified", {"traits": {"email": "a@b", "language": "en", "plan": "x", "consent": {"email": True}}})
    assert (told.document.addresses, told.document.language, told.document.traits) == ({EMAIL: "a@b"}, "en", {"plan": "x"})
    assert told.document.consents == {EMAIL: Consent("subscribed", NOON)}


def test_traits_are_merged_and_taken_away() -> None:
    """A later event adds and replaces; null takes away, an address too."""
    told = story()
    told.tell("customer.identified", {"email": "a@b", "traits": {"a": 1, "b": 2}}, id="1")
    told.tell("customer.identified", {"email": None, "traits": {"b": 3, "a": None, "c": []}}, id="2")
    assert (told.document.traits, told.document.addresses) == ({"b": 3, "c": []}, {})


def test_a_group_is_a_trait_with_traits_of_its_own() -> None:
    """What is said of the same group is merged, null takes away; the next group takes the place of the one before."""
    told = story()
    told.tell("customer.grouped", {"group_id": "acme", "traits": {"plan": "pro", "seats": 3, "name": "Acme"}}, id="1")
    told.tell("customer.grouped", {"group_id": "acme", "traits": {"seats": None, "name": "Acme Ltd"}}, id="2")
    assert told.document.traits == {"group": {"id": "acme", "plan": "pro", "name": "Acme Ltd"}}
    told.tell("customer.grouped", {"group_id": 7, "group_type": "project"}, id="3")
    assert told.document.traits == {"group": {"id": 7, "type": "project"}}


@pytest.mark.parametrize("data", [{}, {"group_id": None}, {"group_id": ["acme"], "traits": {"a": 1}}, {"traits": {"plan": "pro"}}])
def test_a_group_without_a_name_is_none(data: dict[str, Any]) -> None:
    """It leaves the customer's group as it is, and so do facts that are over the size of a trait."""
    told = story()
    told.tell("customer.grouped", {"group_id": "acme"}, id="1")
    told.tell("customer.grouped", data, id="2")
    told.tell("customer.grouped", {"group_id": "acme", "traits": {"logo": "x" * 5_000}}, id="3")
    assert told.document.traits == {"group": {"id": "acme"}}


def test_rules_ask_for_the_group() -> None:
    """A journey of customers whose company has the big plan begins for them, and for nobody else."""
    journey = make_journey("j", send("s"), trigger=on("order.completed", 'customer.group.plan == "pro"'))
    told = Story(make_ruleset(journey), make_document())
    told.tell("order.completed", {}, id="1")
    told.tell("customer.grouped", {"group_id": "acme", "traits": {"plan": "pro"}}, id="2")
    assert told.enrolled == []
    told.tell("order.completed", {}, id="3")
    assert told.enrolled == ["j"]


def test_what_is_kept_of_a_customer_is_bounded() -> None:
    """At most 200 traits, none over 4 KB, names up to 100 characters; those that are there can still be changed."""
    told = story()
    told.tell(
        "customer.identified", {"traits": {"big": "x" * 5_000, "n" * 101: 1, **{f"t{number}": number for number in range(250)}}}, id="1"
    )
    assert len(told.document.traits) == 200
    assert "big" not in told.document.traits
    told.tell("customer.identified", {"traits": {"t0": "changed", "new": 1}}, id="2")
    assert (told.document.traits["t0"], "new" in told.document.traits) == ("changed", False)


@pytest.mark.parametrize(
    "data", [{"email": ["a"]}, {"email": {}}, {"email": True}, {"email": ""}, {"email": "x" * 321}, {"addresses": "a@b"}]
)
def test_what_is_no_address_is_not_taken(data: dict[str, Any]) -> None:
    """Neither kept as an address nor as a trait."""
    told = story()
    told.tell("customer.identified", data)
    assert (told.document.addresses, told.document.traits) == ({}, {})


def test_other_events_do_not_change_the_profile() -> None:
    """An order with an e-mail address in it is not an identification."""
    told = story()
    told.tell("order.completed", {"email": "a@b", "traits": {"vip": True}, "consent": {"email": True}})
    assert (told.document.addresses, told.document.traits, told.consents) == ({}, {}, [])


@pytest.mark.parametrize(
    ("event_type", "data", "state"),
    [
        ("consent.given", {"channel": "email"}, "subscribed"),
        ("consent.withdrawn", {"channel": "email"}, "unsubscribed"),
        ("customer.registered", {"consent": {"email": True}}, "subscribed"),
        ("customer.identified", {"consent": {"email": False}}, "unsubscribed"),
    ],
)
def test_a_consent_goes_into_the_document_and_the_ledger(event_type: str, data: dict[str, Any], state: str) -> None:
    """Who, which channel, since when, from where, with which evidence."""
    told = story()
    told.tell(event_type, data, id="e-1")
    assert told.document.consents == {EMAIL: Consent(state, NOON)}
    assert told.consents == [GrantConsent(CUSTOMER, EMAIL, state, NOON, "shop", f"{event_type} e-1")]  # type: ignore[arg-type]


def test_an_older_consent_does_not_overrule_a_newer_one() -> None:
    """A yes from last week that arrives today does not undo yesterday's no, here or in the ledger."""
    told = story()
    told.tell("consent.withdrawn", {"channel": "email"}, at=NOON - DAY)
    told.tell("consent.given", {"channel": "email"}, at=NOON - 7 * DAY, received_at=NOON)
    assert told.document.consents == {EMAIL: Consent("unsubscribed", NOON - DAY)}
    assert len(told.consents) == 1


@pytest.mark.parametrize("data", [{}, {"channel": 5}, {"channel": "x" * 101}])
def test_a_consent_without_a_channel_says_nothing(data: dict[str, Any]) -> None:
    """Nothing is written."""
    told = story()
    told.tell("consent.given", data)
    assert (told.document.consents, told.consents) == ({}, [])


@pytest.mark.parametrize(
    ("data", "zone"),
    [
        ({"timezone": "Asia/Omsk"}, "Asia/Omsk"),
        ({"context": {"timezone": "Asia/Omsk"}}, "Asia/Omsk"),
        ({"context": 5}, ""),
        ({"timezone": 5}, ""),
    ],
)
def test_any_event_may_state_a_zone(data: dict[str, Any], zone: str) -> None:
    """The last one that did is remembered apart from the customer's own."""
    told = story()
    told.tell("page.viewed", data)
    assert (told.document.event_timezone, told.document.timezone) == (zone, "")


def test_any_event_may_state_a_language() -> None:
    """Analytics libraries send the browser's; it is kept beside the one that the customer said himself."""
    story = Story(make_ruleset(), make_document(language="en"))
    story.tell("page.viewed", {"context": {"locale": "ru-RU"}})
    story.tell("page.viewed", {"context": {"locale": 5}}, at=NOON + DAY)
    assert (story.document.language, story.document.event_language) == ("en", "ru-RU")


@pytest.mark.parametrize(("stated", "written"), [("", "ru-RU"), ("en", "en")])
def test_a_message_is_in_the_language_of_the_browser_unless_another_was_said(stated: str, written: str) -> None:
    """What the customer said himself counts for more."""
    told = Story(make_ruleset(make_journey("thanks", send("note"))), make_document(language=stated))
    told.tell("product.added", {"context": {"locale": "ru-RU"}})
    assert [message.language for message in told.messages] == [written]


def test_types_seen_are_bounded() -> None:
    """Of more than 256 types the one not seen for longest is forgotten."""
    told = story()
    for number in range(257):
        told.tell(f"type.{number}", at=NOON + number * DAY / 1000)
    assert len(told.document.last_seen) == 256
    assert "type.0" not in told.document.last_seen


def test_first_and_last_times_are_event_times() -> None:
    """An older event that arrives later moves the first time back and the last time not at all."""
    told = story()
    told.tell("page.viewed")
    told.tell("page.viewed", at=NOON - DAY, received_at=NOON + DAY)
    assert (told.document.first_seen_at, told.document.last_activity_at, told.document.last_seen) == (
        NOON - DAY,
        NOON,
        {"page.viewed": NOON},
    )
