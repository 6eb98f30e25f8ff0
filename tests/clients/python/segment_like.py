"""Segment's Python client and its forks have one interface."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.clients.python.story import Fail


class SegmentLike:
    """A client with Segment's interface."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def visit(self, anonymous: str, name: str, properties: dict[str, Any]) -> None:
        """Track by `anonymousId`."""
        self._client.track(anonymous_id=anonymous, event=name, properties=properties)

    def identify(self, customer: str, anonymous: str, traits: dict[str, Any]) -> None:
        """Identify with both ids."""
        self._client.identify(user_id=customer, anonymous_id=anonymous, traits=traits)

    def track(self, customer: str, name: str, properties: dict[str, Any], at: datetime | None = None) -> None:
        """Track by `userId`."""
        self._client.track(user_id=customer, event=name, properties=properties, timestamp=at)

    def alias(self, previous: str, customer: str) -> None:
        """Alias."""
        self._client.alias(previous_id=previous, user_id=customer)

    def close(self) -> None:
        """Flush until the queue is empty, then stop the threads: a batch that must wait goes back into the queue."""
        self._client.flush()
        self._client.shutdown()


def give_up(fail: Fail) -> Callable[[Exception, list[dict[str, Any]]], None]:
    """Return an `on_error` that names the events lost."""

    def on_error(error: Exception, items: list[dict[str, Any]]) -> None:
        for item in items:
            fail(str(item.get("properties", {}).get("mark", item["type"])), str(error))

    return on_error
