"""When waiting batches leave: together, so that they travel in one request.

aiokafka keeps one request in flight a broker. A batch that is handed over meanwhile waits inside aiokafka, closed to company, and leaves
with few others afterwards. So batches leave when those before them have landed; while these fly, the next ones fill. Each costs the
same whatever is in it: where they are still nearly empty when the others land, they wait out their linger.
"""

import asyncio
from collections import deque

from services.runtime.eventlog.kafka_appends import Share
from services.runtime.eventlog.port import TopicPartition

_PATIENCE = 0.05
"""Seconds for which those that have not landed hold up the others: a broker that does not answer must not stop the rest."""
_ENOUGH = 131_072
"""Bytes that need no more company: they leave as soon as the others have landed."""


class Lane:
    """One partition's waiting shares, and the task that packs and sends them whenever `go` is set.

    `flight` is set while its batch is under way: the timer that gives it up.
    """

    def __init__(self, partition: TopicPartition) -> None:
        self.partition = partition
        self.waiting: deque[Share] = deque()
        self.go = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.is_due = False
        self.flight: asyncio.TimerHandle | None = None


class Departures:
    """Lets lanes go: `linger` after the first began to wait and when those under way have landed; with enough to carry, at the landing.

    A lane whose own batch is under way stays, for `give_up` at most: then that one is lost, or very slow. Both in seconds.
    """

    def __init__(self, linger: float, give_up: float) -> None:
        self._linger = linger
        self._give_up = give_up
        self._due: list[Lane] = []
        self._flying: set[Lane] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0.0
        self._weight = 0

    def weigh(self, weight: int) -> None:
        """Count `weight` bytes more that wait."""
        self._weight += weight

    def add(self, lane: Lane) -> None:
        """Have the lane's shares leave with the next ones."""
        if lane.is_due:
            return
        lane.is_due = True
        if not self._due:
            self._since = asyncio.get_running_loop().time()
        self._due.append(lane)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._linger, self._leave)

    def landed(self, lane: Lane, flight: asyncio.TimerHandle | None) -> None:
        """Note that the batch which left with `flight` came to an end, or that there was none to send."""
        if flight is None or lane.flight is not flight:
            return
        flight.cancel()
        lane.flight = None
        self._flying.discard(lane)
        if not self._flying:
            self._leave_soon()

    def stop(self) -> None:
        """Let nobody go any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _leave_soon(self) -> None:
        """Nothing is under way any more: go where the linger is over or there is enough to carry, else at the linger's end."""
        loop = asyncio.get_running_loop()
        left = self._since + self._linger - loop.time()
        if not self._due or self._weight >= _ENOUGH or left <= 0:
            self._leave()
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(left, self._leave)

    def _leave(self) -> None:
        loop, due, self._due, self._weight = asyncio.get_running_loop(), self._due, [], 0
        for lane in due:
            if lane.flight is None:
                lane.flight = loop.call_later(self._give_up, self._forget, lane)
                lane.is_due = False
                lane.go.set()
                self._flying.add(lane)
            else:
                self._due.append(lane)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(_PATIENCE, self._lose_patience) if self._flying else None

    def _lose_patience(self) -> None:
        self._flying.clear()
        self._leave()

    def _forget(self, lane: Lane) -> None:
        self.landed(lane, lane.flight)
