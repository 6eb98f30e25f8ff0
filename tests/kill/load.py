"""The clients: they post batches and, like any good client, repeat what was not acknowledged with the same ids."""

import asyncio
import contextlib
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

Event = dict[str, Any]
LATE = 0.1
"""Share of events that happened up to ten seconds before they are posted: out of order for their customer."""


class Load:
    """Posts random shop events for a fixed set of customers until told to stop; remembers every acknowledged id.

    A batch holds one event a customer, so that no two timers of one customer fall due at the same microsecond.
    """

    def __init__(self, base_url: str, write_key: str, seed: int, customers: int) -> None:
        self._random = random.Random(seed)
        self._customers = [f"customer-{i}" for i in range(customers)]
        self.base_url = base_url
        self._http = httpx.AsyncClient(base_url=base_url, headers={"Authorization": f"Bearer {write_key}"}, timeout=5)
        self._number = 0
        self.acknowledged: set[str] = set()
        self.refused = 0
        self.stopping = asyncio.Event()

    async def register_all(self) -> None:
        """Introduce every customer; the last tenth has given no consent, one in fifty no address."""
        for start in range(0, len(self._customers), 100):
            await self._post([self._registration(i) for i in range(start, min(start + 100, len(self._customers)))])

    async def run(self, pause: float) -> None:
        """Post batch after batch, one in twenty of them twice."""
        while not self.stopping.is_set():
            batch = [self._shopping(customer) for customer in self._random.sample(self._customers, self._random.randint(5, 30))]
            await self._post(batch)
            if self._random.random() < 0.05:
                await self._post(batch)
            await asyncio.sleep(pause)

    async def unsubscribe(self, path: str) -> bool:
        """Unsubscribe with one click until it is acknowledged; False once told to stop."""
        while not self.stopping.is_set():
            with contextlib.suppress(httpx.TransportError):
                answer = await self._http.post(path, data={"List-Unsubscribe": "One-Click"})
                if answer.status_code == 200:
                    return True
            await asyncio.sleep(0.05)
        return False

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _post(self, batch: list[Event]) -> None:
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await self._http.post("/v1/events", json={"batch": batch})
                if answer.status_code == 200:
                    results = answer.json()["results"]
                    self.acknowledged.update(r["id"] for r in results if r["status"] != "rejected")
                    self.refused += sum(r["status"] == "rejected" for r in results)
                    return
            await asyncio.sleep(0.05)

    def _event(self, kind: str, customer: str, data: dict[str, Any]) -> Event:
        self._number += 1
        return {"id": f"event-{self._number}", "type": kind, "customer": customer, "data": data}

    def _registration(self, i: int) -> Event:
        data: dict[str, Any] = {"language": "en"}
        if i % 50 != 7:
            data["email"] = f"customer-{i}@shop.example"
        if i % 10 != 9:
            data["consent"] = {"email": True}
        return self._event("customer.registered", self._customers[i], data)

    def _shopping(self, customer: str) -> Event:
        event = self._shopping_now(customer)
        if self._random.random() < LATE:
            happened_at = datetime.now(UTC) - timedelta(seconds=self._random.uniform(0, 10))
            event["time"] = happened_at.isoformat()
        return event

    def _shopping_now(self, customer: str) -> Event:
        draw = self._random.random()
        if draw < 0.5:
            return self._event("product.added", customer, {"session_id": f"{customer}-{self._random.randint(1, 30)}"})
        if draw < 0.75:
            order = {"order_id": f"{customer}-{self._random.randint(1, 200)}", "total": self._random.choice((10, 49.99, 50, 120))}
            return self._event("order.completed", customer, order)
        return self._event("product.viewed", customer, {"product_id": str(self._random.randint(1, 99))})
