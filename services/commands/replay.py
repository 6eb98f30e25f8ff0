"""Recorded events, posted over HTTP to running services on a stepped clock: months in minutes, each timer in its place.

Events lie close together and timers are many, so both are taken in slices: those of a quarter of an hour go together, at its last
moment. The order between an event and a timer is kept: no slice reaches over a timer that is due before its end.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import httpx

from services.commands.stepping import Stepper
from services.contracts.errors import Rejected
from services.contracts.events import Event

SLICE = timedelta(minutes=15)
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
            first = events[self._posted].time
            due = await self._fire_before(first)
            end = first + SLICE if due is None else min(first + SLICE, due)
            await self._post_slice(events, end)
        await self._fire_before(until)
        await self._move_to(until)

    async def _fire_before(self, moment: datetime) -> datetime | None:
        """Fire the timers due before `moment`, a slice of them a step; return when the next one is due."""
        while (due := await self._stepper.next_due_at()) is not None and due < moment:
            await self._move_to(min(due + SLICE, moment))
        return due

    async def _post_slice(self, events: Sequence[Event], end: datetime) -> None:
        batch = [event for event in events[self._posted : self._posted + _MOST_AT_ONCE] if event.time <= end]
        self._stepper.move_to(batch[-1].time)
        await self._post(batch)
        self._posted += len(batch)
        await self._stepper.settle()
        self._on_step(self._posted, batch[-1].time)

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


def _posted(event: Event) -> dict[str, Any]:
    return {"id": event.id, "type": event.type, "customer": event.subject, "time": event.time.isoformat(), "data": event.data}
