"""Recorded events, posted over HTTP to running services on a stepped clock: months in minutes, each timer in its place.

Events and timers are taken in slices: those of one hour go together, at its last moment, as they would with a worker that was down for
that long. For each customer the order between event and timer is kept: a slice ends before an event that one of the customer's timers
must precede.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

import httpx

from services.commands.stepping import Stepper
from services.contracts.errors import Rejected
from services.contracts.events import Event

SLICE = timedelta(hours=1)
SILENT_SLICE = timedelta(hours=6)
"""After the last event, when there is nothing left that a timer could overtake."""
_MOST_AT_ONCE = 500


class Replay:
    """Posts events and moves the clock; `on_step` is called after each step with the number of events posted and the new time."""

    def __init__(self, http: httpx.AsyncClient, stepper: Stepper, on_step: Callable[[int, datetime], object]) -> None:
        """`http` is bound to the ingest's address and carries a write key."""
        self._http = http
        self._stepper = stepper
        self._on_step = on_step
        self._posted = 0

    async def run(self, events: Sequence[Event], until: datetime) -> None:
        """Post all events (in order of time), then let time run on to `until`. Raises `Rejected` where ingest refuses one."""
        while self._posted < len(events):
            await self._slice(events[self._posted : self._posted + _MOST_AT_ONCE])
        while (due := await self._stepper.next_due_at()) is not None and due < until:
            await self._move_to(min(due + SILENT_SLICE, until))
        await self._move_to(until)

    async def _slice(self, coming: Sequence[Event]) -> None:
        first = coming[0].time
        due = await self._stepper.next_due_at()
        end = min(first, due or first) + SLICE
        timers = await self._stepper.timers_until(end)
        batch = list(takewhile(lambda event: event.time <= end and not _is_preceded(event, timers), coming))
        if batch:
            await self._post_at(batch[-1].time, batch)
        else:
            await self._move_to(min(end, first))

    async def _post_at(self, moment: datetime, batch: Sequence[Event]) -> None:
        self._stepper.move_to(moment)
        await self._post(batch)
        self._posted += len(batch)
        await self._move_to(moment)

    async def _move_to(self, moment: datetime) -> None:
        await self._stepper.step(moment)
        self._on_step(self._posted, moment)

    async def _post(self, batch: Sequence[Event]) -> None:
        answer = await self._http.post("/v1/events", json={"batch": [_posted(event) for event in batch]})
        body = answer.json()
        if answer.status_code != httpx.codes.OK:
            raise Rejected(f"ingest answered {answer.status_code}: {body}", code="replay_refused")
        if refused := [result for result in body["results"] if result["status"] == "rejected"]:
            raise Rejected(f"ingest refused {len(refused)} events, the first: {refused[0]}", code="replay_refused")


def _is_preceded(event: Event, timers: dict[str, datetime]) -> bool:
    """Say whether a timer of the event's customer must fire before the event is read."""
    due = timers.get(event.subject)
    return due is not None and due <= event.time


def _posted(event: Event) -> dict[str, Any]:
    return {"id": event.id, "type": event.type, "customer": event.subject, "time": event.time.isoformat(), "data": event.data}
