"""Drive customerio, the client of the Track API; a thousand events go by its `batch`."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import uuid4

from customerio import CustomerIO, CustomerIOException

from tests.clients.python.retrying import TryAgainError, until_taken
from tests.clients.python.story import Fail, main

_BATCH = 100
_REFUSED = ("400", "401", "404", "413", "422")


class TrackClient:
    """Sends at once; events for the batch are gathered first. Every event has an id, so that a second try is no second event."""

    def __init__(self, client: CustomerIO, fail: Fail) -> None:
        self._client = client
        self._fail = fail
        self._waiting: list[dict[str, Any]] = []

    def visit(self, anonymous: str, name: str, properties: dict[str, Any]) -> None:
        """Track an anonymous id."""
        made = str(uuid4())
        self._send([properties["mark"]], lambda: self._client.track_anonymous(anonymous, name, properties, id=made))

    def identify(self, customer: str, anonymous: str, traits: dict[str, Any]) -> None:
        """Identify with the anonymous id as an attribute, as the Track API joins the two."""
        self._send(["identify"], lambda: self._client.identify(customer, anonymous_id=anonymous, **traits))

    def track(self, customer: str, name: str, properties: dict[str, Any], at: datetime | None = None) -> None:
        """Track, or put it into the batch."""
        mark, made = properties["mark"], str(uuid4())
        if not mark.startswith("batch-"):
            self._send([mark], lambda: self._client.track(customer, name, properties, id=made, timestamp=at))
            return
        event = {"type": "person", "action": "event", "identifiers": {"id": customer}, "name": name, "attributes": properties, "id": made}
        self._waiting.append(event)
        if len(self._waiting) == _BATCH:
            self._send_batch()

    def alias(self, previous: str, customer: str) -> None:
        """Merge."""
        self._send(["alias"], lambda: self._client.merge_customers("id", customer, "id", previous))

    def close(self) -> None:
        """Send the rest of the batch."""
        if self._waiting:
            self._send_batch()
        self._client.close()

    def _send_batch(self) -> None:
        events, self._waiting = self._waiting, []
        self._send([event["attributes"]["mark"] for event in events], lambda: self._client.batch(events))

    def _send(self, marks: list[str], call: Callable[[], object]) -> None:
        def attempt() -> None:
            try:
                call()
            except CustomerIOException as error:
                if not str(error).startswith(_REFUSED):
                    raise TryAgainError(str(error)) from error
                for mark in marks:
                    self._fail(mark, str(error))

        until_taken(attempt)


def open_track(scenario: dict[str, Any], fail: Fail) -> TrackClient:
    """Open a client on the port of a TLS front."""
    host, _, port = scenario["host"].removeprefix("https://").partition(":")
    return TrackClient(CustomerIO("site", scenario["key"], host=host, port=int(port), timeout=10), fail)


if __name__ == "__main__":
    main(open_track)
