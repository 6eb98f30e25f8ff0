"""`simulate`: the decision core over files, against answers that were counted by other means."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.authoring.shop import shop_events
from services.authoring.simulate import JourneyFigures, simulate
from services.contracts.decisions import Decision
from services.contracts.events import Event
from services.contracts.ids import Channel, CustomerId, EventId, JourneyName
from services.contracts.mapping import parse_map, read_files
from services.contracts.resources import resource
from services.rules.core.ruleset import Ruleset
from services.rules.loader import load_directory

RULESETS = Path(__file__).parents[2] / "fixtures" / "rulesets"
START = datetime(2024, 3, 4, 10, tzinfo=UTC)
ABANDONED = JourneyName("abandoned")


def ruleset(name: str = "abandoned", *, assume_contactable: bool = True) -> Ruleset:
    """Load a rule set of the fixtures; it has no templates."""
    folder = RULESETS / name
    return load_directory(folder, folder / "templates", lenient_templates=True, assume_contactable=assume_contactable).ruleset


def make_event(kind: str, after: timedelta, customer: str = "ann", **data: Any) -> Event:
    """Return an event so long after `START`; equal arguments give an equal id."""
    time = START + after
    return Event(
        id=EventId(f"{customer}:{kind}:{after}"),
        type=kind,
        source="file",
        subject=CustomerId(customer),
        time=time,
        receivedtime=time,
        data={"session_id": "s1", **data},
    )


@pytest.fixture(scope="module")
def clickstream() -> list[Event]:
    """Return the example shop's events."""
    shop = resource("examples") / "shop"
    return read_files([shop / "clickstream.csv.gz"], parse_map((shop / "map.yaml").read_text(encoding="utf-8"))).events


def test_the_clickstream_has_its_known_answer(clickstream: list[Event]) -> None:
    """1,213 sessions put something into the cart, 363 of them buy within the hour, 850 are written to."""
    figures = simulate(clickstream, ruleset())

    journey = figures.journeys[ABANDONED]
    assert (journey.enrolled, journey.exited, journey.sent, journey.deferred, journey.held_out) == (1_213, 363, 850, 0, 0)
    assert figures.messages == {"email": 850}
    assert (figures.events, figures.customers) == (31_106, 600)


def test_a_weekly_cap_has_its_known_answer(clickstream: list[Event]) -> None:
    """One message in any seven days lets 772 through and stops 78."""
    journey = simulate(clickstream, ruleset("abandoned-capped")).journeys[ABANDONED]

    assert (journey.enrolled, journey.exited, journey.sent, journey.skipped["frequency_cap"]) == (1_213, 363, 772, 78)


def test_nobody_is_reachable_without_an_address(clickstream: list[Event]) -> None:
    """Raw behaviour has neither consents nor addresses: all 850 are skipped, and none silently."""
    figures = simulate(clickstream, ruleset(assume_contactable=False))

    journey = figures.journeys[ABANDONED]
    assert (journey.sent, journey.skipped["consent"], figures.messages) == (0, 850, {})


def test_timers_run_out_after_the_last_event() -> None:
    """The message is decided at the timer's own time, though no event follows."""
    decisions: list[Decision] = []

    figures = simulate([make_event("product.added", timedelta(0))], ruleset(), on_decision=decisions.append)

    assert figures.journeys[ABANDONED] == JourneyFigures(enrolled=1, sent=1)
    assert [decision.at for decision in decisions] == [START + timedelta(hours=1)]


def test_a_timer_due_with_an_event_fires_before_it() -> None:
    """An order at the very moment of the reminder comes too late to stop it; a second earlier, in time."""
    added = make_event("product.added", timedelta(0))

    at_once = simulate([added, make_event("order.completed", timedelta(hours=1))], ruleset()).journeys[ABANDONED]
    before = simulate([added, make_event("order.completed", timedelta(minutes=59, seconds=59))], ruleset()).journeys[ABANDONED]

    assert (at_once.sent, at_once.exited) == (1, 0)
    assert (before.sent, before.exited) == (0, 1)


def test_an_equal_id_is_the_same_event() -> None:
    """The second of two equal events is read, and changes nothing."""
    added = make_event("product.added", timedelta(0))

    figures = simulate([added, added], ruleset())

    assert figures.events == 2
    assert figures.journeys[ABANDONED] == JourneyFigures(enrolled=1, sent=1)


def test_customers_do_not_influence_each_other() -> None:
    """A cap of one customer leaves the others their message."""
    events = [make_event("product.added", timedelta(minutes=i), customer) for i, customer in enumerate(("ann", "bob", "ann"))]
    events = [*events[:2], make_event("product.added", timedelta(minutes=2), "ann", session_id="s2")]

    journey = simulate(events, ruleset("abandoned-capped")).journeys[ABANDONED]

    assert (journey.sent, journey.skipped) == (2, {"frequency_cap": 1})


def test_a_journey_that_did_nothing_is_listed() -> None:
    """Silence is an answer too."""
    figures = simulate([make_event("product.viewed", timedelta(0))], ruleset())

    assert figures.journeys == {ABANDONED: JourneyFigures()}
    assert figures.messages == {}


def test_the_example_rules_use_every_channel() -> None:
    """Over six months all four journeys enrol and send, and e-mail, SMS and Telegram are all used."""
    rules = load_directory(resource("rules"), resource("templates"))

    figures = simulate(shop_events(resource("examples") / "shop"), rules.ruleset)

    assert set(figures.journeys) == {"welcome", "abandoned-cart", "thanks-after-purchase", "win-back"}
    assert all(journey.enrolled > 100 and journey.sent > 100 for journey in figures.journeys.values())
    assert all(figures.messages[Channel(channel)] > 100 for channel in ("email", "sms", "telegram"))


def test_the_example_rules_load_without_a_warning() -> None:
    """What newcomers copy must be clean."""
    assert load_directory(resource("rules"), resource("templates")).warnings == ()
