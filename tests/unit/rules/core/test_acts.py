"""Bots and preferences: what is no sign of life, and what the customer asked for."""

import pytest

from services.rules.core.document import Preference, encode_document
from services.rules.core.inputs import EventInput
from tests.builders import (
    DAY,
    EMAIL,
    HOUR,
    NOON,
    cap,
    exit_on,
    make_document,
    make_journey,
    make_lifecycle,
    make_policy,
    make_ruleset,
    on,
    send,
    silence,
    wait,
)
from tests.story import Story
from tests.two_stories import event_with

RULES = make_ruleset(
    make_journey("cart", wait(), exit_on=(exit_on("message.clicked"),)),
    make_journey("back", send(), trigger=silence(14 * DAY)),
    make_journey("hello", wait(), trigger=on("customer.identified")),
    lifecycle=make_lifecycle(),
)


@pytest.mark.parametrize("event_type", ["product.added", "message.clicked", "order.completed", "customer.identified"])
def test_a_bots_event_is_no_sign_of_life(event_type: str) -> None:
    """It is counted and remembered, and moves, triggers, ends nothing."""
    story = Story(RULES)
    story.tell("product.added", at=NOON)
    before = story.document
    story.give(EventInput(event_with(event_type, {"timezone": "Asia/Omsk"}, at=NOON + HOUR / 2, bot=True)), NOON + HOUR / 2)
    assert (story.document.seq, len(story.document.recent)) == (2, 24)
    expected = before.__copy__()  # type: ignore[attr-defined]  # msgspec has it
    expected.seq, expected.recent = 2, story.document.recent
    if event_type == "customer.identified":
        expected.timezone = "Asia/Omsk"
    assert encode_document(story.document) == encode_document(expected)
    assert (story.enrolled, story.exited) == (["cart"], [])


def test_a_bot_may_say_who_the_customer_is() -> None:
    """Servers are programs too: traits, addresses and consents of what they identify count."""
    story = Story(RULES, make_document(subscribed=()))
    data = {"email": "c@c", "traits": {"name": "C"}, "consent": {"email": True}}
    story.give(EventInput(event_with("customer.identified", data, bot=True)), NOON)
    document = story.document
    assert (document.traits, document.addresses, document.consents[EMAIL].state) == ({"name": "C"}, {"email": "c@c"}, "subscribed")
    assert (document.stage, document.first_seen_at, story.enrolled) == ("", None, [])


def test_preferences_are_kept() -> None:
    """How often and in which language; the newest statement holds, and what is neither is passed over."""
    story = Story(RULES)
    story.tell("povod.preferences", {"frequency": "less", "language": "ru"}, at=NOON)
    assert (story.document.preference, story.document.language) == (Preference("less", NOON), "ru")
    story.tell("povod.preferences", {"frequency": "normal"}, at=NOON - HOUR, id="late")
    story.tell("povod.preferences", {"frequency": "never", "language": 5}, at=NOON + HOUR)
    assert (story.document.preference, story.document.language) == (Preference("less", NOON), "ru")
    story.tell("povod.preferences", {"frequency": "normal"}, at=NOON + 2 * HOUR)
    assert story.document.preference == Preference("normal", NOON + 2 * HOUR)
    assert (story.document.last_activity_at, story.document.schema_version) == (None, 2)


@pytest.mark.parametrize(("usual", "halved"), [(5, 2), (4, 2), (3, 1), (2, 1), (1, 1), (0, 0)])
def test_less_often_halves_the_caps(usual: int, halved: int) -> None:
    """Rounded down, but one at least where any was allowed; the ledger says what the cap would have been."""
    story = Story(make_ruleset(make_journey(), policy=make_policy(caps=(cap(usual, 7 * DAY),))))
    story.tell("povod.preferences", {"frequency": "less"}, at=NOON - DAY)
    for number in range(6):
        story.tell(at=NOON + number * HOUR)
    assert len(story.messages) == halved
    gate = story.decisions[-1].detail["gates"][-1]
    assert gate["caps"] == [{"cap": f"{usual} per {7 * DAY}", "count": halved, "max": halved, "usual_max": usual}]
    assert (gate["frequency"], gate["reason"]) == ("less", "frequency_cap")


def test_normal_leaves_the_caps_as_they_are() -> None:
    """Whoever took it back hears from us as before."""
    story = Story(make_ruleset(make_journey(), policy=make_policy(caps=(cap(2, 7 * DAY),))))
    story.tell("povod.preferences", {"frequency": "less"}, at=NOON - DAY)
    story.tell("povod.preferences", {"frequency": "normal"}, at=NOON - HOUR)
    for number in range(3):
        story.tell(at=NOON + number * HOUR)
    assert (len(story.messages), story.decisions[-1].detail["gates"][-1]["caps"][0]["max"]) == (2, 2)
