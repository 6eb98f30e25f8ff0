"""Drive cloudevents: it encodes, requests sends. Argument: `binary`, `structured` or `batch`."""

import json
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import requests
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from tests.clients.python.retrying import TryAgainError, until_taken
from tests.clients.python.story import Fail, main

_BATCH = 100
_RETRIED = {429, 500, 502, 503, 504}


class CloudEventsClient:
    """Posts one event a request, or a hundred in batch mode, for which the library leaves the outer array to its user."""

    def __init__(self, url: str, key: str, mode: str, fail: Fail) -> None:
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {key}"
        self._url = url
        self._mode = mode
        self._fail = fail
        self._waiting: list[CloudEvent] = []

    def visit(self, anonymous: str, name: str, properties: dict[str, Any]) -> None:
        """Post for the visitor's id: to CloudEvents a subject is a subject."""
        self.track(anonymous, name, properties)

    def identify(self, customer: str, anonymous: str, traits: dict[str, Any]) -> None:
        """Post `customer.identified` with the visitor's id as an extension."""
        self._post(customer, "customer.identified", {"traits": traits}, {"anonymousid": anonymous})

    def track(self, customer: str, name: str, properties: dict[str, Any], at: datetime | None = None) -> None:
        """Post an event."""
        self._post(customer, name, properties, {"time": at} if at else {})

    def alias(self, previous: str, customer: str) -> None:
        """Say once more who it is."""
        self._post(customer, "customer.identified", {}, {"anonymousid": previous})

    def close(self) -> None:
        """Send the rest of the batch."""
        if self._waiting:
            self._send_batch()

    def _post(self, subject: str, kind: str, data: dict[str, Any], more: dict[str, Any]) -> None:
        attributes = {
            "id": str(uuid4()),
            "source": "https://shop.example/till",
            "type": kind,
            "subject": subject,
            "time": datetime.now(UTC),
        }
        self._waiting.append(CloudEvent({**attributes, "datacontenttype": "application/json", **more}, data))
        if self._mode != "batch":
            encode = to_binary_event if self._mode == "binary" else to_structured_event
            self._send(encode(self._waiting.pop()), [str(data.get("mark"))])
        elif len(self._waiting) == _BATCH:
            self._send_batch()

    def _send_batch(self) -> None:
        events, self._waiting = self._waiting, []
        body = b"[" + b",".join(to_structured_event(event).body for event in events) + b"]"
        marks = [str((event.get_data() or {}).get("mark")) for event in events]
        self._send(HTTPMessage({"content-type": "application/cloudevents-batch+json; charset=utf-8"}, body), marks)

    def _send(self, message: HTTPMessage, marks: list[str]) -> None:
        until_taken(lambda: self._try(message, marks))

    def _try(self, message: HTTPMessage, marks: list[str]) -> None:
        try:
            answer = self._session.post(self._url, data=message.body, headers=message.headers, timeout=10)
        except requests.RequestException as error:
            raise TryAgainError from error
        if answer.status_code in _RETRIED:
            raise TryAgainError(answer.text)
        if not answer.ok:
            for mark in marks:
                self._fail(mark, f"{answer.status_code} {json.dumps(answer.text)}")


def open_cloudevents(scenario: dict[str, Any], fail: Fail) -> CloudEventsClient:
    """Open a client."""
    return CloudEventsClient(scenario["host"] + "/cloudevents", scenario["key"], sys.argv[1], fail)


if __name__ == "__main__":
    main(open_cloudevents)
