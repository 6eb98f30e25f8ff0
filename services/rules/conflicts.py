"""Repeats that are none: an event under the id of one that was decided, with other content. The first counts; the conflict is told."""

from collections.abc import Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.codec import decode_event
from services.contracts.errors import InvalidEvent
from services.contracts.events import Event
from services.rules import store
from services.rules.store import InputKey

MOST = 50
"""Repeats of one batch that are compared: a client that repeats without end must not cost a look-up for each."""
_log = structlog.get_logger()


async def count_conflicts(connection: AsyncConnection, repeats: Sequence[Event]) -> int:
    """Return how many of these events differ in type or data from the one that was decided under their id, and name them in the log."""
    found = {InputKey(event.subject, event.source, event.id): event for event in repeats[:MOST]}
    payloads = await store.decided_payloads(connection, found)
    conflicts = [event for key, event in found.items() if key in payloads and _differ(event, payloads[key])]
    for event in conflicts:
        _log.warning("an event came under the id of another", action="events.conflict", source=event.source, id=event.id, type=event.type)
    return len(conflicts)


def _differ(event: Event, payload: str) -> bool:
    try:
        first = decode_event(payload.encode())
    except InvalidEvent:
        return False  # kept by a release that wrote events otherwise: nothing can be said
    return (event.type, event.data) != (first.type, first.data)
