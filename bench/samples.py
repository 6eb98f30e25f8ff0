"""Sample events: a cart of a Russian shop, about a kilobyte each, as clients post them and as the log keeps them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from services.contracts.codec import encode_event, key_of
from services.contracts.events import Event
from services.contracts.ids import CustomerId, EventId

BATCH = 100
_NAMES = ("Чайник эмалированный «Северное сияние», 2,5 л", "Плед шерстяной «Вологда», 140x200", "Настольная лампа «Маяк»")


class Sample(NamedTuple):
    """One event: what a client posts, and the record that holds it."""

    posted: dict[str, Any]
    key: bytes
    value: bytes


def cart_event(n: int, now: datetime) -> Sample:
    """Return the n-th cart event."""
    customer, event_id = f"customer-{n % 5_000:05}", f"bench-{n:09}"
    data = _cart(n)
    posted = {"id": event_id, "type": "cart.updated", "customer": customer, "time": now.isoformat(), "data": data}
    event = Event(
        id=EventId(event_id), type="cart.updated", source="bench", subject=CustomerId(customer), time=now, receivedtime=now, data=data
    )
    return Sample(posted, key_of(customer), encode_event(event))


def _cart(n: int) -> dict[str, Any]:
    items: list[dict[str, Any]] = [
        {"sku": f"SKU-{(n + i) % 9_973:05}", "name": name, "category": "Дом и уют", "price": 1_290 + 10 * i, "quantity": 1 + i}
        for i, name in enumerate(_NAMES)
    ]
    return {
        "cart_id": f"cart-{n:09}",
        "session_id": f"session-{n // 7:08}",
        "currency": "RUB",
        "total": sum(item["price"] * item["quantity"] for item in items),
        "items": items,
        "page": f"https://shop.example/cart?step={n % 4}",
        "platform": "mobile",
        "campaign": "spring-sale",
    }


def samples(count: int, start: int = 0) -> list[Sample]:
    """Return that many different events."""
    now = datetime.now(UTC)
    return [cart_event(n, now) for n in range(start, start + count)]


def batch_bodies(count: int) -> Iterator[bytes]:
    """Give that many request bodies of `BATCH` events each."""
    for n in range(count):
        yield json.dumps([sample.posted for sample in samples(BATCH, n * BATCH)], ensure_ascii=False).encode()


def single_bodies(count: int) -> Iterator[bytes]:
    """Give that many request bodies of one event each."""
    for sample in samples(count):
        yield json.dumps(sample.posted, ensure_ascii=False).encode()


def segment_bodies(count: int) -> Iterator[bytes]:
    """Give that many request bodies of `BATCH` events each, the same events as Segment's clients would post them."""
    for n in range(count):
        batch = [_as_segment(sample.posted) for sample in samples(BATCH, n * BATCH)]
        envelope = {"batch": batch, "sentAt": datetime.now(UTC).isoformat()}
        yield json.dumps(envelope, ensure_ascii=False).encode()


def _as_segment(posted: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "track",
        "messageId": posted["id"],
        "userId": posted["customer"],
        "anonymousId": None,
        "event": posted["type"],
        "timestamp": posted["time"],
        "properties": posted["data"],
        "context": {"library": {"name": "analytics-python", "version": "2.4.0"}},
        "integrations": {},
    }
