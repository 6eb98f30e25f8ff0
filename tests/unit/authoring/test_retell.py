"""Retelling: recorded inputs, decided once more, give the figures of the day on which they were recorded."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.authoring.retell import Line, retell
from services.authoring.simulate import JourneyFigures
from services.contracts.codec import encode_event
from services.contracts.events import Event
from services.contracts.ids import CustomerId, EventId, JourneyName
from services.rules.loader import load_directory

FOLDER = Path(__file__).parents[2] / "fixtures" / "rulesets" / "abandoned"
RULES = load_directory(FOLDER, FOLDER / "templates", lenient_templates=True, assume_contactable=True).ruleset
START = datetime(2024, 3, 4, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


def event_line(customer: str, kind: str, time: datetime) -> Line:
    """Return an event as history keeps it."""
    event = Event(
        id=EventId(f"{kind}:{time}"),
        type=kind,
        source="shop",
        subject=CustomerId(customer),
        time=time,
        receivedtime=time,
        data={"session_id": "s1"},
    )
    return CustomerId(customer), "event", encode_event(event).decode(), time


def timer_line(customer: str, due_at: datetime, now: datetime) -> Line:
    """Return a timer as history keeps it."""
    return CustomerId(customer), "timer", f'{{"due_at":"{due_at.isoformat()}"}}', now


def test_each_customer_is_told_from_the_beginning() -> None:
    """One is written to when the timer fires, late or not; the other buys first."""
    lines = [
        event_line("ann", "product.added", START),
        timer_line("ann", START + HOUR, START + 2 * HOUR),
        event_line("bob", "product.added", START),
        event_line("bob", "order.completed", START + HOUR / 2),
    ]

    figures = retell(lines, RULES)

    assert (figures.events, figures.customers, figures.messages) == (3, 2, {"email": 1})
    assert figures.journeys == {JourneyName("abandoned"): JourneyFigures(enrolled=2, exited=1, sent=1, skipped={"exited": 1})}


def test_nothing_was_recorded() -> None:
    """Every journey of the rule set is listed all the same."""
    assert retell([], RULES).journeys == {JourneyName("abandoned"): JourneyFigures()}
