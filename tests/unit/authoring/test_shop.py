"""The example shop's stream: registrations before first clicks, by time, inside the period."""

import hashlib
from datetime import UTC, datetime

from services.authoring.shop import REGISTERED, shop_events
from services.contracts.resources import resource

SHOP = resource("examples") / "shop"
PUBLISHED = "110716838facbec8143c6c9af74500eb0252197da212fd75aa4c47bf3b692090"
START, END = datetime(2024, 3, 4, tzinfo=UTC), datetime(2024, 3, 11, tzinfo=UTC)


def test_the_data_is_as_it_was_published() -> None:
    """The clickstream is byte for byte what its authors gave out."""
    assert hashlib.sha256((SHOP / "clickstream.csv.gz").read_bytes()).hexdigest() == PUBLISHED


def test_everyone_registers_once_before_their_first_click() -> None:
    """The registration stands directly before whatever else the visitor does."""
    events = shop_events(SHOP, START, END)

    first_types = {event.subject: event.type for event in reversed(events)}
    assert set(first_types.values()) == {REGISTERED}
    assert sum(event.type == REGISTERED for event in events) == len(first_types)


def test_the_stream_is_by_time_and_inside_the_period() -> None:
    """Clicks lie in `[start, end)`; a registration may begin a second earlier."""
    events = shop_events(SHOP, START, END)

    times = [event.time for event in events]
    assert times == sorted(times)
    assert all(START <= event.time < END for event in events if event.type != REGISTERED)
    assert len(events) > 500


def test_a_registration_carries_who_they_are() -> None:
    """Name, language and the shop's loyalty class, with consents for the addresses that were left."""
    registration = next(event for event in shop_events(SHOP, START, END) if event.type == REGISTERED)

    assert {"name", "language", "timezone", "consent", "loyalty"} <= set(registration.data)
    assert registration.data["loyalty"] in {"new", "returning", "loyal"}
