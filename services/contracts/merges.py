"""An anonymous visitor becomes a customer: which events say so, and the input that tells the visitor's document."""

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
    return msgspec.structs.replace(event, id=identity, type=MERGE, subject=visitor, data={"into": event.subject}, anonymousid=UNSET)
