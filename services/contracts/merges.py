"""A visitor becomes a customer: which events say so, what tells the visitor's document, and the names in an event's `via`."""

from urllib.parse import quote, unquote

import msgspec
from msgspec import UNSET

from services.contracts.events import Event
from services.contracts.ids import CustomerId, EventId

MERGE = "povod.merge"
"""Makes its subject the customer that its data names in `into`."""
IDENTIFYING = frozenset({"customer.identified", "customer.registered"})
"""Types by which an anonymous visitor becomes a customer."""


def merge_of(event: Event) -> Event | None:
    """Return what follows from an event that names customer and visitor: an input of its own, for the visitor; None where it names one."""
    if event.anonymousid is UNSET or event.type not in IDENTIFYING or event.anonymousid == event.subject:
        return None
    identity = EventId(f"merge:{event.id}")
    visitor = CustomerId(event.anonymousid)
    return msgspec.structs.replace(
        event, id=identity, type=MERGE, subject=visitor, data={"into": event.subject}, anonymousid=UNSET, via=UNSET
    )


def passed_by(event: Event) -> list[CustomerId]:
    """Return the customers whom an event has passed, in that order."""
    return [CustomerId(unquote(name)) for name in event.via.split(",")] if event.via is not UNSET and event.via else []


def encode_via(customers: tuple[CustomerId, ...]) -> str:
    """Return the event's attribute: percent-encoded names (RFC 3986) with commas between."""
    return ",".join(quote(customer, safe="") for customer in customers)
