"""What an expression can see."""

from datetime import datetime
from typing import Any

from services.rules.core.document import CustomerDocument

EVENT_FIELDS = frozenset({"id", "type", "source", "time"})
"""Attributes of the event itself; they hide fields of its data with the same name."""
CUSTOMER_FIELDS = frozenset({"id", "addresses", "stage", "stage_since", "language", "timezone", "first_seen_at", "last_activity_at"})
"""Fields of the customer that are no traits; they hide traits with the same name."""


class Scope:
    """The values of one evaluation. Where a timer leads to it (an `if` after a wait), `event` is the enrolling event, as `trigger` is.

    `now` is the input's logical time, so that a lagging worker sees what a live one would have seen.
    """

    __slots__ = ("customer", "event", "id", "now", "source", "time", "trigger", "type")

    def __init__(self, customer: CustomerDocument, now: datetime) -> None:
        self.customer = customer
        self.now = now
        self.event: dict[str, Any] = {}
        self.trigger: dict[str, Any] = {}
        self.id: str | None = None
        self.type: str | None = None
        self.source: str | None = None
        self.time: datetime | None = None

    def see(self, data: dict[str, Any], event_id: str, event_type: str, time: datetime, source: str) -> None:
        """Make this the event that `event` means."""
        self.event = data
        self.id = event_id
        self.type = event_type
        self.time = time
        self.source = source
