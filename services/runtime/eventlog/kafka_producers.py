"""Which producer is in use: made when needed, replaced when it is broken, wedged or has counted too far."""

import asyncio
from datetime import timedelta
from typing import Any

from aiokafka.errors import KafkaError

from services.contracts.errors import LogUnavailable
from services.runtime.eventlog.kafka_connections import Connections
from services.runtime.eventlog.kafka_errors import stopped, within

_SEQUENCE_LIMIT = 1 << 30
"""Records after which a producer is replaced: aiokafka's sequence numbers go wrong at 2^31 a partition."""
_WEDGED_AFTER = 10.0
"""Seconds without any acknowledgement, while some are due, after which a producer is replaced."""
_START = timedelta(seconds=4)
_NEXT_TRY = 0.5
"""Seconds after a failed start in which further ones are not tried: callers fail at once instead of queueing."""
_FLUSH = 1.0
"""Seconds that a producer has for what it still holds when the log is closed."""


class Session:
    """One producer and what it has under way."""

    def __init__(self, producer: Any) -> None:
        self.producer = producer
        self.sent = 0
        self.outstanding = 0
        self.heard_at = _now()
        self.idle = asyncio.Event()
        self.idle.set()

    def hand_over(self, count: int) -> None:
        """Note that a batch of so many records goes out."""
        if not self.outstanding:
            self.heard_at = _now()  # the wait for an acknowledgement begins now
            self.idle.clear()
        self.sent += count
        self.outstanding += 1

    def take_back(self) -> None:
        """Note that a batch came to an end."""
        self.outstanding -= 1
        self.heard_at = _now()
        if not self.outstanding:
            self.idle.set()

    def is_wedged(self) -> bool:
        """Say whether acknowledgements are due and nothing has come for long."""
        return self.outstanding > 0 and _now() - self.heard_at > _WEDGED_AFTER


class Producers:
    """One producer at a time."""

    def __init__(self, connections: Connections) -> None:
        self.acknowledged_at = float("-inf")
        self._connections = connections
        self._session: Session | None = None
        self._starting = asyncio.Lock()
        self._failed_at = float("-inf")
        self._retiring: set[asyncio.Task[None]] = set()

    async def current(self) -> Session:
        """Return the producer to use, starting one where there is none; raises `LogUnavailable`."""
        if self._session is not None and self._session.sent < _SEQUENCE_LIMIT:
            return self._session
        async with self._starting:
            if self._session is not None and self._session.sent >= _SEQUENCE_LIMIT:
                await self._session.idle.wait()  # the next one must not overtake what this one has under way
                self.retire(self._session)
            if self._session is None:
                self._session = await self._start()
            return self._session

    def settled(self, session: Session, error: BaseException | None) -> None:
        """Note what became of a batch; an idempotent producer that has failed one is of no more use."""
        session.take_back()
        if error is None:
            self.acknowledged_at = _now()
        else:
            self.retire(session)

    def suspect(self) -> None:
        """Note that an append timed out; the producer is replaced where nothing at all has come back for long."""
        if self._session is not None and self._session.is_wedged():
            self.retire(self._session)

    def retire(self, session: Session, *, flush: float = 0.0) -> None:
        """Stop using a producer and close it in the background, giving up what it holds: the next one must not be overtaken by it."""
        if session is self._session:
            self._session = None
            session.idle.set()
            task = asyncio.create_task(_stop(session.producer, flush), name="stop a producer")
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        """Stop the producer, in bounded time."""
        if self._session is not None:
            self.retire(self._session, flush=_FLUSH)
        if self._retiring:
            await asyncio.wait(self._retiring)

    async def _start(self) -> Session:
        if _now() - self._failed_at < _NEXT_TRY:
            raise LogUnavailable("Kafka could not be reached a moment ago")
        producer = self._connections.producer()
        try:
            await within(_START, producer.start(), "starting a producer")
        except BaseException:
            self._failed_at = _now()
            await _stop(producer, _FLUSH)
            raise
        return Session(producer)


async def _stop(producer: Any, flush: float) -> None:
    """Stop a producer; what it can't send in `flush` seconds is given up, and whoever waits for that is told."""
    stopping = asyncio.ensure_future(producer.stop())
    await asyncio.wait({stopping}, timeout=flush)
    if not stopping.done():
        _give_up(producer._message_accumulator)  # noqa: SLF001 - there is no public way to give up
    await stopped(stopping, 10)


def _give_up(accumulator: Any) -> None:
    queued = [batch for batches in accumulator._batches.values() for batch in batches]  # noqa: SLF001 - as above
    accumulator._pending_batches.update(batch for batch in queued if batch.retry_count)  # noqa: SLF001 - where its callbacks look
    accumulator.fail_all(KafkaError("given up"))
    for batch in queued:
        batch._drain_waiter.exception()  # noqa: SLF001 - looked at, or asyncio complains that nobody did


def _now() -> float:
    return asyncio.get_running_loop().time()
