"""What a page's consent manager says: its no withdraws, its yes grants nothing."""

from typing import Any

import msgspec
import pytest

from services.contracts.ids import Channel
from services.rules.core.document import Consent
from services.rules.core.effects import GrantConsent
from services.rules.core.ruleset import Policy
from tests.builders import CUSTOMER, EMAIL, HOUR, NOON, SMS, make_document, make_event, make_ruleset
from tests.story import Story

POLICY = Policy(consent_categories={"Advertising": (EMAIL, SMS), "Newsletter": (EMAIL,)})


def story(*, subscribed: tuple[Channel, ...] = (), policy: Policy = POLICY) -> Story:
    """Return the story of a customer of a shop that has said what its categories stand for."""
    return Story(make_ruleset(policy=policy), make_document(subscribed=subscribed))


def said(**categories: Any) -> dict[str, Any]:
    """Return an event's data with what a consent manager says of its categories."""
    return {"context": {"consent": {"categoryPreferences": categories}}}


def states(told: Story) -> dict[Channel, str]:
    """Return the state of each channel that something is known of."""
    return {channel: consent.state for channel, consent in told.document.consents.items()}


def test_a_no_withdraws_the_channels_of_its_category() -> None:
    """Any event's no is written into the document and the ledger, once, with the event as evidence."""
    told = story()
    told.tell("page.viewed", said(Advertising=False), id="e-1")
    assert told.document.consents == {EMAIL: Consent("unsubscribed", NOON), SMS: Consent("unsubscribed", NOON)}
    assert told.consents == [GrantConsent(CUSTOMER, channel, "unsubscribed", NOON, "shop", "page.viewed e-1") for channel in (EMAIL, SMS)]
    told.tell("page.viewed", said(Advertising=False), id="e-2", at=NOON + HOUR)
    assert len(told.consents) == 2


@pytest.mark.parametrize("event_type", ["page.viewed", "customer.identified", "customer.registered", "order.completed"])
def test_a_yes_grants_nothing(event_type: str) -> None:
    """No event makes a subscriber by its context, whoever sent it: neither of a stranger, nor of one who has left."""
    told = story()
    told.tell(event_type, said(Advertising=True, Newsletter=True), id="e-1")
    assert (told.document.consents, told.consents) == ({}, [])
    told.tell("consent.withdrawn", {"channel": "email"}, id="e-2", at=NOON + HOUR)
    told.tell(event_type, said(Advertising=True), id="e-3", at=NOON + 2 * HOUR)
    assert states(told) == {EMAIL: "unsubscribed"}


def test_who_subscribes_afterwards_stays_subscribed() -> None:
    """A page that goes on saying what it said before takes back no consent that was given since."""
    told = story()
    told.tell("page.viewed", said(Newsletter=False), id="e-1")
    told.tell("consent.given", {"channel": "email"}, id="e-2", at=NOON + HOUR)
    told.tell("page.viewed", said(Newsletter=False), id="e-3", at=NOON + 2 * HOUR)
    assert states(told) == {EMAIL: "subscribed"}


def test_a_new_no_counts_again() -> None:
    """A no after a yes is a new one."""
    told = story()
    told.tell("page.viewed", said(Newsletter=False), id="e-1")
    told.tell("consent.given", {"channel": "email"}, id="e-2", at=NOON + HOUR)
    told.tell("page.viewed", said(Newsletter=True), id="e-3", at=NOON + 2 * HOUR)
    told.tell("page.viewed", said(Newsletter=False), id="e-4", at=NOON + 3 * HOUR)
    assert states(told) == {EMAIL: "unsubscribed"}


def test_an_event_s_own_word_goes_first() -> None:
    """Who ticks the newsletter in a form gets it, though the same event carries the banner's no, and so do those after it."""
    told = story()
    told.tell("customer.identified", {"consent": {"email": True}, **said(Advertising=False)}, id="e-1")
    told.tell("page.viewed", said(Advertising=False), id="e-2", at=NOON + HOUR)
    assert states(told) == {EMAIL: "subscribed", SMS: "unsubscribed"}


def test_of_two_categories_for_a_channel_the_no_holds() -> None:
    """A channel is refused where any category that stands for it is."""
    told = story(subscribed=(EMAIL, SMS))
    told.tell("page.viewed", said(Advertising=True, Newsletter=False), at=NOON + HOUR)
    assert states(told) == {EMAIL: "unsubscribed", SMS: "subscribed"}


def test_what_the_policy_does_not_name_means_nothing() -> None:
    """Without a mapping, and for categories that it does not name, nothing is taken over."""
    told = story(policy=Policy())
    told.tell("page.viewed", said(Advertising=False), id="e-1")
    assert (told.document.consents, told.document.refused_channels) == ({}, ())
    told = story()
    told.tell("page.viewed", said(Functional=False), id="e-1")
    assert (told.document.consents, told.document.refused_channels) == ({}, ())


@pytest.mark.parametrize(
    "context", [None, [], "no", {"consent": []}, {"consent": {"categoryPreferences": ["Advertising"]}}, {"consent": "Advertising"}]
)
def test_what_is_no_preference_is_passed_over(context: Any) -> None:
    """Whatever stands in a context, only true and false below the categories' names are read."""
    told = story()
    told.tell("page.viewed", {"context": context}, id="e-1")
    told.tell("page.viewed", said(Advertising="no", Newsletter=0), id="e-2")
    assert told.document.consents == {}


def test_a_bot_s_no_counts_too() -> None:
    """What a program says of a customer's consents is taken over, as everywhere."""
    told = story()
    told.tell_event(msgspec.structs.replace(make_event("page.viewed", said(Newsletter=False)), bot=True))
    assert states(told) == {EMAIL: "unsubscribed"}
