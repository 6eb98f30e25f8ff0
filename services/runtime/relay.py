"""The loop of a relay: publish what lies in a table until nothing is left, then sleep until woken or until the next look."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from services.contracts.errors import Retryable
from services.runtime.backoff import Backoff

POLL = timedelta(seconds=2)
"""How often a relay looks by itself: rows of a process that died before it could wake its relay."""
_log = structlog.get_logger()


class RelayLoop:
    """Calls `publish` (returns how many rows it published) again and again. One `run` at a time."""

    def __init__(self, name: str, publish: Callable[[], Awaitable[int]], *, poll: timedelta = POLL) -> None:
        self._name = name
        self._publish = publish
        self._poll = poll
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Say that there are rows; call it after their transaction was committed. Harmless at any time."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop` is set, then what is left, once; backs off while log or database are unavailable.

        Whatever is no `Retryable` is raised.
        """
        backoff = Backoff()
        while not stop.is_set():
            self._woken.clear()
            try:
                published = await self._publish()
            except Retryable as error:
                _log.warning("publishing failed, will be tried again", action=f"{self._name}.delayed", error=str(error))
                await _first_of(backoff.next_wait(), stop)
                continue
            backoff.reset()
            if not published:
                await _first_of(self._poll, stop, self._woken)
        await self._finish()

    async def _finish(self) -> None:
        try:
            while await self._publish():
                continue
        except Retryable as error:
            _log.warning("rows are left for the next start", action=f"{self._name}.left", error=str(error))


async def _first_of(longest: timedelta, *events: asyncio.Event) -> None:
    waiting = {asyncio.create_task(event.wait()) for event in events}
    try:
        await asyncio.wait(waiting, timeout=longest.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
