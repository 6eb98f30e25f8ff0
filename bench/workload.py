"""What the rules engine is given: twenty journeys of a shop, and customers who walk through it.

Each customer registers and then does eight things: the commonest events of a shop, in the proportions of the clickstream in
`examples/shop`, a kilobyte each. Four journeys listen to each type, each for its own department, and look at what the event says; about
every third event enrols and becomes a decision, most of them a message (a cap of three stops some). An order ends what is open and
recalls what was sent. That is several times as much as the example's rules make of its clickstream.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

from bench.samples import cart_event
from services.contracts.codec import encode_event, key_of
from services.contracts.events import Event
from services.contracts.ids import CustomerId, EventId

ACTIONS = 8
EVENTS_PER_CUSTOMER = 1 + ACTIONS
_BROWSING = {"product.viewed": 6_851, "product.list_viewed": 6_521, "product.searched": 4_011, "product.added": 1_346, "cart.viewed": 1_204}
_TYPES = {**_BROWSING, "order.completed": 470}
_DEPARTMENTS = ("home", "kids", "garden", "tools", "books", "shoes", "sport", "beauty", "pets", "food", "toys")
_WATCHED = _DEPARTMENTS[:4]
_POLICY = """
caps:
  - {max: 3, per: 30d, window: rolling, scope: all}
  - {max: 5, per: 7d, window: rolling, scope: {channel: email}}
  - {max: 20, per: month, window: calendar, scope: {kind: regular}}
consent: {email: opt_in}
"""
_JOURNEY = """
journey: NAME
why: A benchmark.
trigger: {event: TYPE, where: event.department == "DEPARTMENT" and event.total > 100 and event.currency == "RUB"}
key: event.cart_id
reentry: {after: 3d, from: exit}
exit_on: [order.completed]
steps:
  - send: cart-reminder
    kind: regular
    channels: [email]
    tags: [cart]
  - wait: 1d
  - if: customer.loyalty == "loyal"
    then:
      - send: cart-thinking
        kind: regular
        channels: [email]
"""
_WELCOME = """
journey: welcome
why: A benchmark.
trigger: {event: customer.registered}
reentry: never
steps:
  - send: welcome
    kind: regular
    channels: [email]
"""


def write_twenty_journeys(folder: Path) -> Path:
    """Write the rule set of the rules figure; return its folder."""
    journeys = dict(_journey(kind, department) for kind, department in product(_BROWSING, _WATCHED))
    return _write(folder, journeys, _POLICY)


def _journey(kind: str, department: str) -> tuple[str, str]:
    name = f"{kind.replace('.', '-').replace('_', '-')}-{department}"
    return name, _JOURNEY.replace("NAME", name).replace("TYPE", kind).replace("DEPARTMENT", department)


def write_one_message_an_event(folder: Path) -> Path:
    """Write a rule set that answers every registration with one mail, at once; return its folder."""
    return _write(folder, {"welcome": _WELCOME}, "consent: {email: opt_in}\n")


def _write(folder: Path, journeys: dict[str, str], policy: str) -> Path:
    (folder / "journeys").mkdir(parents=True)
    (folder / "policy.yaml").write_text(policy, encoding="utf-8")
    for name, text in journeys.items():
        (folder / "journeys" / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def registration(customer: str) -> dict[str, Any]:
    """Return the data of a registration."""
    return {"email": f"{customer}@shop.example", "name": "Анна", "language": "ru", "consent": {"email": True}, "loyalty": "new"}


def records(prefix: str, customers: int, seed: int) -> Iterator[tuple[bytes, bytes]]:
    """Give the records of a round in an order of its own (each customer's registration first): key and value."""
    chance = random.Random(seed)
    names = [f"{prefix}-{n:06}" for n in range(customers)]
    now = datetime.now(UTC)
    for name in names:
        yield _record(name, f"{name}-r", "customer.registered", registration(name), now)
    order = names * ACTIONS
    chance.shuffle(order)
    kinds = chance.choices(list(_TYPES), list(_TYPES.values()), k=len(order))
    for n, (name, kind) in enumerate(zip(order, kinds, strict=True)):
        data = {**cart_event(n, now).posted["data"], "department": chance.choice(_DEPARTMENTS)}
        yield _record(name, f"{prefix}-{n}", kind, data, now)


def _record(customer: str, event_id: str, kind: str, data: dict[str, Any], now: datetime) -> tuple[bytes, bytes]:
    event = Event(id=EventId(event_id), type=kind, source="bench", subject=CustomerId(customer), time=now, receivedtime=now, data=data)
    return key_of(customer), encode_event(event)
