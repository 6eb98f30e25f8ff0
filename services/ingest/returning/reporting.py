"""Events of customers who come back, straight to the log: each once, however often a page is loaded again."""

from collections import OrderedDict
from datetime import datetime
from typing import Any

import structlog
from msgspec import UNSET

from services.contracts.codec import EVENT_HEADERS, encode_event, key_of
from services.contracts.errors import PovodError
from services.contracts.events import Event
from services.contracts.ids import CustomerId, EventId
from services.contracts.topics import EVENTS
from services.ingest.parts import IngestParts
from services.runtime.eventlog.port import OutgoingRecord
from services.runtime.telemetry.metrics import INGEST_RETURNS

SOURCE = "povod.ingest"
_REMEMBERED = 20_000
_log = structlog.get_logger()


class Reporter:
    """Publishes; what was published by this process a while ago is not published again under the same id."""

    def __init__(self, parts: IngestParts) -> None:
        self._parts = parts
        self._published: OrderedDict[EventId, None] = OrderedDict()

    async def report(self, event: Event) -> None:
        """Publish an event that nobody waits for; where the log does not take it, it is counted and lost."""
        try:
            await self.store(event)
        except PovodError as error:
            _log.warning("a customer's return was not kept", action="return.lost", type=event.type, error=str(error))
            self._count(event, "lost")

    async def store(self, event: Event) -> None:
        """Publish an event that is acknowledged afterwards. Raises `LogUnavailable`."""
        if event.id in self._published:
            return self._count(event, "repeated")
        await self._parts.log.append(EVENTS, [OutgoingRecord(key_of(event.subject), encode_event(event), EVENT_HEADERS)])
        self._remember(event.id)
        return self._count(event, "stored")

    def _remember(self, name: EventId) -> None:
        self._published[name] = None
        if len(self._published) > _REMEMBERED:
            self._published.popitem(last=False)

    def _count(self, event: Event, result: str) -> None:
        self._parts.metrics.add(INGEST_RETURNS, type=event.type, result=result)


def event_of(name: str, kind: str, customer: CustomerId, now: datetime, data: dict[str, Any], *, bot: bool = False) -> Event:
    """Return an event of a customer who came back at `now`; the same `name` within a minute is the same event."""
    return Event(
        id=EventId(f"{name}:{int(now.timestamp()) // 60}"),
        type=kind,
        source=SOURCE,
        subject=customer,
        time=now,
        receivedtime=now,
        data=data,
        bot=True if bot else UNSET,
    )
