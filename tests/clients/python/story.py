"""What every driver does with its client: tell a scenario, and say which events the client considers sent.

A driver reads scenarios from its standard input, a JSON object a line, and answers each with one line. It runs in the client's own
virtual environment, so nothing of Povod is imported here.
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import time_machine

NAME = "Client Checked"
RESERVED = "message.sent"
"""A type that only Povod itself may publish: the bad event among good ones."""
TRAITS = {"name": "Анна", "plan": "gold", "visits": 7, "email": "Anna@Shop.example", "phone": "8 (916) 123-45-67"}
AGE = timedelta(hours=1)
CUSTOMERS = 20

Fail = Callable[[str, str], None]
"""Told the mark of an event that the client gave up, and why."""


class Client(Protocol):
    """A client at work. Times are aware UTC by the client's own clock."""

    def visit(self, anonymous: str, name: str, properties: dict[str, Any]) -> None:
        """Track somebody who has not said who he is."""

    def identify(self, customer: str, anonymous: str, traits: dict[str, Any]) -> None:
        """Say who a visitor is."""

    def track(self, customer: str, name: str, properties: dict[str, Any], at: datetime | None = None) -> None:
        """Track a known customer."""

    def alias(self, previous: str, customer: str) -> None:
        """Say that two ids are one customer."""

    def close(self) -> None:
        """Send what is left and wait for the answers."""


class Teller:
    """Tells a scenario to a client and remembers under which mark it posted for whom."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self.sent: dict[str, str] = {}

    def tell(self, batch: int) -> None:
        """Tell the whole story: a visit, who he is, a bad event between good ones, an old one, an alias, and a batch."""
        visitor, ann, old = (f"{self._prefix}.{who}" for who in ("visitor", "ann", "old"))
        self.sent["visit"] = visitor
        self._client.visit(visitor, NAME, {"mark": "visit"})
        self._client.identify(ann, visitor, TRAITS)
        self._track("before", ann)
        self._client.track(ann, RESERVED, {"mark": "bad"})
        self._track("aged", ann, datetime.now(UTC) - AGE)
        self._track("old", old)
        self._client.alias(old, ann)
        self.stream(batch, 0)

    def stream(self, count: int, pace: float) -> None:
        """Track `count` events of several customers, `pace` seconds apart."""
        for number in range(count):
            self._track(f"batch-{number}", f"{self._prefix}.c{number % CUSTOMERS}")
            time.sleep(pace)

    def _track(self, mark: str, customer: str, at: datetime | None = None) -> None:
        self.sent[mark] = customer
        self._client.track(customer, NAME, {"mark": mark}, at)


def play(open_client: Callable[[dict[str, Any], Fail], Client], scenario: dict[str, Any]) -> dict[str, Any]:
    """Play one scenario on a new client, whose clock is `skew` seconds wrong."""
    failed: dict[str, str] = {}
    wrong = datetime.now(UTC) + timedelta(seconds=scenario["skew"])
    with time_machine.travel(wrong, tick=True):
        client = open_client(scenario, failed.__setitem__)
        teller = Teller(client, scenario["prefix"])
        if scenario["story"]:
            teller.tell(scenario["events"])
        else:
            teller.stream(scenario["events"], scenario["pace"])
        client.close()
    prefix = scenario["prefix"]
    merges = [(f"{prefix}.{who}", f"{prefix}.ann") for who in ("visitor", "old")] if scenario["story"] else []
    sent = {mark: customer for mark, customer in teller.sent.items() if mark not in failed}
    return {"prefix": prefix, "sent": sent, "failed": failed, "merges": merges}


def main(open_client: Callable[[dict[str, Any], Fail], Client]) -> None:
    """Play every scenario that comes."""
    for line in sys.stdin:
        result = play(open_client, json.loads(line))
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()
