"""A day of a shop, and what an undisturbed rules service makes of it: for tests of the worker."""

import random
from datetime import timedelta
from pathlib import Path

from services.contracts.events import Event
from services.runtime.database import Database
from tests.builders import HOUR, NOON, make_event
from tests.rules_desk import Desk, InputRow, LedgerRow, opened_desk

LATER = 12 * HOUR
"""From noon on, when the day is over."""


def shop_day(customers: int = 12, events: int = 300, seed: int = 7) -> list[Event]:
    """Return a day of a shop in the order of its hours: registrations, carts, orders; some events twice."""
    chance = random.Random(seed)
    day = [registered(f"c{n}", n) for n in range(customers)]
    for n in range(events):
        customer = f"c{chance.randrange(customers)}"
        kind = chance.choice(["product.added", "product.added", "product.viewed", "order.completed"])
        data = {"session_id": f"s{chance.randrange(40)}", "order_id": f"o{n}", "total": chance.randrange(500)}
        day.append(make_event(kind, data, id=f"e{n}", at=NOON + timedelta(minutes=2 * n), customer=customer))
        if chance.random() < 0.1:
            day.append(day[-1])
    return day


def registered(customer: str, n: int = 0) -> Event:
    """Return a registration with an address and a consent."""
    data = {"email": f"{customer}@shop.example", "consent": {"email": True}}
    return make_event("customer.registered", data, id=f"r{customer}", at=NOON - HOUR + timedelta(seconds=n), customer=customer)


def cart(customer: str = "c0", session: str = "s1", *, after: timedelta = timedelta(0), event_id: str = "") -> Event:
    """Return something put into a cart, so long after noon."""
    name = event_id or f"cart-{customer}-{session}"
    return make_event("product.added", {"session_id": session}, id=name, at=NOON + after, customer=customer)


def order(customer: str = "c0", *, after: timedelta = timedelta(0)) -> Event:
    """Return an order, so long after noon."""
    return make_event("order.completed", {"order_id": "o1", "total": 5}, id=f"order-{customer}", at=NOON + after, customer=customer)


def viewed(n: int, customer: str = "c0") -> Event:
    """Return a page that was viewed n seconds after noon."""
    return make_event("page.viewed", id=f"v{n}", at=NOON + n * timedelta(seconds=1), customer=customer)


async def outcome(desk: Desk) -> tuple[list[InputRow], list[LedgerRow]]:
    """Return what was decided, and from which inputs."""
    return await desk.history(), await desk.ledger()


async def expected_of(folder: Path, database: Database, events: list[Event]) -> tuple[list[InputRow], list[LedgerRow]]:
    """Return what an undisturbed run over the events decides."""
    async with opened_desk(folder, database, NOON + LATER) as calm:
        await calm.append(events)
        await calm.work_off()
        return await outcome(calm)
