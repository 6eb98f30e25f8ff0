"""The replay over running services: whole slices at once, and yet no timer is overtaken by its customer's later event."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.authoring.retell import retell
from services.commands.demo_show import Arrival, Arrivals, agree
from services.commands.demo_stage import Stage, clear_folder, staged
from services.commands.replay import Replay
from services.contracts.errors import Rejected
from services.contracts.events import Event
from services.contracts.ids import CustomerId, EventId
from services.rules.ledger import decisions_of, history, tally
from services.rules.loader import load_directory

START = datetime(2024, 6, 10, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


def make_event(customer: str, kind: str, after: timedelta, **data: Any) -> Event:
    """Return an event so long after `START`."""
    time = START + after
    return Event(
        id=EventId(f"{customer}:{kind}"),
        type=kind,
        source="test",
        subject=CustomerId(customer),
        time=time,
        receivedtime=time,
        data={"session_id": f"{customer}-1", **data},
    )


def shopping(customer: str, ordered_after: timedelta) -> list[Event]:
    """Return a registration, a thing put into the cart an hour later, and an order."""
    who = {"name": customer, "email": f"{customer}@example.org", "language": "en", "timezone": "Europe/Moscow", "consent": {"email": True}}
    return [
        make_event(customer, "customer.registered", timedelta(0), **who),
        make_event(customer, "product.added", HOUR),
        make_event(customer, "order.completed", ordered_after),
    ]


async def cart_of(stage: Stage, customer: str) -> list[tuple[str, str]]:
    """Return what was decided about the customer's cart."""
    async with stage.chassis.database.reading() as connection:
        return [(each.verdict, each.reason) for each in await decisions_of(connection, CustomerId(customer), "abandoned-cart")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty data folder of a demo."""
    clear_folder(tmp_path / "demo")
    return tmp_path / "demo"


async def test_each_customers_events_and_timers_keep_their_order(folder: Path) -> None:
    """Of two orders around the reminder's time, only the earlier one stops it, though one slice could hold both."""
    events = sorted(
        [*shopping("ann", 2 * HOUR - timedelta(minutes=1)), *shopping("bob", 2 * HOUR + timedelta(minutes=1))], key=lambda e: e.time
    )

    async with staged(folder, START - HOUR) as stage:
        await Replay(stage.http, stage.stepper, lambda _posted, _now: None).run(events, START + 5 * HOUR)

        assert await cart_of(stage, "ann") == [("skipped", "exited")]
        assert (await cart_of(stage, "bob"))[0] == ("sent", "ok")
        assert stage.clock.now() == START + 5 * HOUR
        arrived = list(Arrivals(stage).news())
        assert Arrival("email", "bob@example.org", "Your cart is waiting") in [each._replace(content=each.words) for each in arrived]


async def test_the_history_tells_what_the_ledger_says(folder: Path) -> None:
    """Decided once more by the core alone, the recorded inputs give the same decisions."""
    async with staged(folder, START - HOUR) as stage:
        await Replay(stage.http, stage.stepper, lambda _posted, _now: None).run(shopping("ann", 3 * HOUR), START + 6 * HOUR)
        async with stage.chassis.database.reading() as connection:
            lines = [line async for line in history(connection)]
            decided = await tally(connection)

    settings = stage.chassis.settings.rules
    figures = retell(lines, load_directory(settings.directory, settings.templates).ruleset)
    assert agree(figures, decided)
    assert {name: journey.enrolled for name, journey in figures.journeys.items()} == {
        "abandoned-cart": 1,
        "thanks-after-purchase": 1,
        "welcome": 1,
        "win-back": 0,
    }


async def test_an_event_that_ingest_refuses_ends_the_replay(folder: Path) -> None:
    """Nothing is left out silently."""
    forged = make_event("ann", "message.failed", timedelta(0))

    async with staged(folder, START - HOUR) as stage:
        with pytest.raises(Rejected, match="reserved_type"):
            await Replay(stage.http, stage.stepper, lambda _posted, _now: None).run([forged], START + HOUR)
