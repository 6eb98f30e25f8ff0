"""Who must be simulated together: visitors who became customers, and what follows from their events that ingest would have published."""

from collections.abc import Iterator, Sequence

from msgspec import UNSET

from services.contracts.events import Event
from services.contracts.ids import CustomerId
from services.contracts.merges import MERGE, merge_of


def with_merges(events: Sequence[Event]) -> Sequence[Event]:
    """Return the events, each that names visitor and customer followed by the merge that ingest publishes beside it."""
    if all(event.anonymousid is UNSET for event in events):
        return events
    return [each for event in events for each in _beside(event)]


def _beside(event: Event) -> Iterator[Event]:
    yield event
    if (merge := merge_of(event)) is not None:
        yield merge


def groups_of(events: Sequence[Event]) -> list[list[Event]]:
    """Return the events of each customer, or of all who may become one, in their order; by the first event of each."""
    own: dict[CustomerId, list[Event]] = {}
    merges: list[tuple[CustomerId, CustomerId]] = []
    for event in events:
        own.setdefault(event.subject, []).append(event)
        if event.type == MERGE and isinstance(into := event.data.get("into"), str):
            merges.append((event.subject, CustomerId(into)))
    if not merges:
        return list(own.values())
    leaders = _leaders(merges)
    together: dict[CustomerId, list[Event]] = {}
    for event in events:
        together.setdefault(leaders.get(event.subject, event.subject), []).append(event)
    return list(together.values())


def _leaders(merges: Sequence[tuple[CustomerId, CustomerId]]) -> dict[CustomerId, CustomerId]:
    """Return for everyone who merges, or is merged into, one name for all who hang together (a disjoint-set forest)."""
    above: dict[CustomerId, CustomerId] = {}

    def leader(customer: CustomerId) -> CustomerId:
        while (over := above.setdefault(customer, customer)) != customer:
            above[customer] = above[over]
            customer = over
        return customer

    for visitor, customer in merges:
        above[leader(visitor)] = leader(customer)
    return {customer: leader(customer) for customer in list(above)}
