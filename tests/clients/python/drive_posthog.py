"""Drive posthog, by its legacy protocol or, as `drive_posthog v1`, by its new one."""

import sys
from datetime import datetime
from typing import Any

from posthog import Posthog

from tests.clients.python.story import Fail, main


class PostHogClient:
    """PostHog knows one id a person; traits are set, ids are joined by `alias`."""

    def __init__(self, client: Posthog) -> None:
        self._client = client

    def visit(self, anonymous: str, name: str, properties: dict[str, Any]) -> None:
        """Capture by a made-up id."""
        self._client.capture(name, distinct_id=anonymous, properties=properties)

    def identify(self, customer: str, anonymous: str, traits: dict[str, Any]) -> None:
        """Set the person's properties and join the two ids."""
        self._client.set(distinct_id=customer, properties=traits)
        self._client.alias(previous_id=anonymous, distinct_id=customer)

    def track(self, customer: str, name: str, properties: dict[str, Any], at: datetime | None = None) -> None:
        """Capture."""
        self._client.capture(name, distinct_id=customer, properties=properties, timestamp=at)

    def alias(self, previous: str, customer: str) -> None:
        """Join two ids."""
        self._client.alias(previous_id=previous, distinct_id=customer)

    def close(self) -> None:
        """Send the rest and stop."""
        self._client.shutdown()


def open_posthog(scenario: dict[str, Any], fail: Fail) -> PostHogClient:
    """Open a client."""

    def on_error(error: Exception, items: list[dict[str, Any]]) -> None:
        dropped = {uuid for uuid, _ in getattr(error, "drops", ())} or {item["uuid"] for item in items}
        for item in (item for item in items if item["uuid"] in dropped):
            fail(str(item.get("properties", {}).get("mark", item["event"])), str(error))

    mode = sys.argv[1] if len(sys.argv) > 1 else "v0"
    return PostHogClient(Posthog(scenario["key"], host=scenario["host"], on_error=on_error, capture_mode=mode, max_retries=10))


if __name__ == "__main__":
    main(open_posthog)
