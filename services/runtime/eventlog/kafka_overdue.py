"""Which appends to Kafka have waited too long: as long as it may be silent, or, while it answers, as long as it may be slow.

A Kafka that is gone and one that is busy look alike to an append that waits. So once one has waited for a while, Kafka is asked
something else, on another connection: as long as that or any acknowledgement comes back, it is only slow. Time in which this process
did not get to listen, on a machine with too much to do, is nobody's silence.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

_ASK_AFTER = 1 / 3
"""Of the silence that is allowed: Kafka is asked when so much of it is over."""
_TICK = 0.05
"""Seconds between two looks while something is late."""


class Patience(NamedTuple):
    """How long an append may wait: `silent` without any word of Kafka's, `slow` at the most; seconds."""

    silent: float
    slow: float


class Waiting(Protocol):
    """What is watched: `begun_at` in the event loop's time."""

    begun_at: float
    done: "asyncio.Future[None]"


WaitingT = TypeVar("WaitingT", bound=Waiting)


class Overdue(Generic[WaitingT]):
    """Gives up what has waited too long; one timer for all.

    `acknowledged_at` says when Kafka last acknowledged anything, `is_there` asks it, in bounded time.
    """

    def __init__(
        self,
        patience: Patience,
        acknowledged_at: Callable[[], float],
        is_there: Callable[[], Awaitable[bool]],
        give_up: Callable[[WaitingT], None],
    ) -> None:
        self._patience = patience
        self._acknowledged_at = acknowledged_at
        self._is_there = is_there
        self._give_up = give_up
        self._watched: deque[WaitingT] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    def watch(self, waiting: WaitingT) -> None:
        """Give it up at its time, unless it is done by then."""
        self._forget_done()
        self._watched.append(waiting)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(waiting.begun_at + self._patience.silent * _ASK_AFTER, self._look)

    def stop(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()

    def _forget_done(self) -> None:
        while self._watched and self._watched[0].done.done():
            self._watched.popleft()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._heard_at = max(self._heard_at, self._acknowledged_at())
        self._excuse(now)
        silence = now - self._heard_at
        longest = self._patience.silent if silence >= self._patience.silent else self._patience.slow
        self._drop(now - longest)
        self._timer = None
        if self._watched:
            asks_at = self._watched[0].begun_at + self._patience.silent * _ASK_AFTER
            if asks_at <= now and silence >= self._patience.silent * _ASK_AFTER:
                self._ask()
            self._timer = loop.call_at(max(asks_at, now + _TICK), self._look)

    def _excuse(self, now: float) -> None:
        """Take a look that comes late for deafness: what was said meanwhile is still to be read."""
        late = now - self._timer.when() if self._timer is not None else 0.0
        if late > _TICK:
            begun_at = self._watched[0].begun_at if self._watched else now
            self._heard_at = min(now, max(self._heard_at, begun_at) + late)

    def _drop(self, latest: float) -> None:
        """Give up what began then or earlier."""
        while self._watched and (self._watched[0].done.done() or self._watched[0].begun_at <= latest):
            waiting = self._watched.popleft()
            if not waiting.done.done():
                self._give_up(waiting)

    def _ask(self) -> None:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._note_answer(), name="ask Kafka whether it is there")

    async def _note_answer(self) -> None:
        if await self._is_there():
            self._heard_at = asyncio.get_running_loop().time()
