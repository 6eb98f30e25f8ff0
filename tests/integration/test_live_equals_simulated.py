"""The same events through the live services, on a stepped clock, give the decisions that `simulate` gives, row by row."""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import text

from services.authoring.simulate import simulate
from services.contracts.decisions import Decision
from services.contracts.events import Event
from services.contracts.mapping import parse_map, read_files
from services.contracts.resources import resource
from services.rules.loader import load_directory
from services.runtime.clock import FrozenClock
from services.runtime.database import Database
from services.runtime.settings import Settings
from tests.live import ENGINES, Live, engine_settings, live, post

SHOP = resource("examples") / "shop"
RULESETS = Path(__file__).parents[1] / "fixtures" / "rulesets"
WEEKS = float(os.environ.get("POVOD_TEST_LIVE_WEEKS", "3"))
"""How much of the half year is lived through; 26 is all of it (and takes many minutes)."""


class Row(NamedTuple):
    """What must be equal of a decision."""

    customer: str
    journey: str
    key: str
    step: str
    verdict: str
    reason: str


def clickstream() -> list[Event]:
    """Return the shop's events in order of time, as many weeks as asked for."""
    event_map = parse_map((SHOP / "map.yaml").read_text(encoding="utf-8"), "map.yaml")
    events = read_files([next(SHOP.glob("*.csv.gz"))], event_map).events
    until = events[0].time + timedelta(weeks=WEEKS)
    return [event for event in events if event.time < until]


def simulated(rules: Path, events: Sequence[Event]) -> list[Row]:
    """Return what `simulate --assume-contactable` decides."""
    decisions: list[Decision] = []
    simulate(events, load_directory(rules, resource("templates"), assume_contactable=True).ruleset, on_decision=decisions.append)
    return sorted(Row(d.customer, d.journey, d.key, d.step, d.verdict, d.reason) for d in decisions)


async def decided(database: Database) -> list[Row]:
    """Return what the decision ledger holds."""
    async with database.reading() as connection:
        rows = (await connection.execute(text("SELECT customer, journey, key, step, verdict, reason FROM decisions"))).all()
    return sorted(Row(*row) for row in rows)


async def live_through(running: Live, clock: FrozenClock, events: Sequence[Event]) -> None:
    """Introduce everybody, then post each event at its own time; all timers fire at theirs."""
    await post(running, clock, clock.now(), list(introductions(events, clock.now())))
    for moment, together in groupby(events, attrgetter("time")):
        await post(running, clock, moment, [posted(event) for event in together])
    await running.stepper.run_out()


def introductions(events: Sequence[Event], at: datetime) -> Iterator[dict[str, Any]]:
    """Give every customer an address and consent, as `--assume-contactable` supposes."""
    for customer in sorted({event.subject for event in events}):
        data = {"email": f"{customer}@shop.example", "consent": {"email": True}}
        yield {"id": f"hello-{customer}", "type": "customer.registered", "customer": customer, "time": at.isoformat(), "data": data}


def posted(event: Event) -> dict[str, Any]:
    """Return an event as a website posts it."""
    return {"id": event.id, "type": event.type, "customer": event.subject, "time": event.time.isoformat(), "data": event.data}


@pytest.fixture(params=ENGINES)
async def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Return settings of each engine, on empty logs and databases."""
    return await engine_settings(request, tmp_path)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("rules", ["abandoned", "abandoned-capped"])
async def test_live_services_decide_as_simulate_does(rules: str, settings: Settings) -> None:
    """Posted at their own times, the clickstream's events lead to the same rows of the ledger as in a simulation."""
    events = clickstream()
    expected = simulated(RULESETS / rules, events)
    clock = FrozenClock(events[0].time)
    async with live(settings, clock, RULESETS / rules, resource("templates")) as running:
        await live_through(running, clock, events)
        actual = await decided(running.chassis.database)
    assert expected
    assert expected == actual
