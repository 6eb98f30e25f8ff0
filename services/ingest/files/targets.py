"""Where a file's events go: the log, or nowhere (a dry run); another ingest over HTTP is a thing of the command. All judge alike."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Protocol, TypeVar

from services.contracts.addresses import DEFAULT_REGION
from services.contracts.errors import LogUnavailable, Retryable
from services.contracts.incoming import Item
from services.contracts.normalise import Reception
from services.contracts.topics import EVENTS
from services.ingest.dead_letters import bury
from services.ingest.judge import Judge, Judged, Result
from services.ingest.uuid7 import new_uuid7
from services.runtime.backoff import Backoff
from services.runtime.clock import Clock
from services.runtime.eventlog.port import EventLog
from services.runtime.telemetry.metrics import Metrics

TRIES = 12
"""Tries of one batch, over a minute or so, until the run gives up; what was acknowledged before stays so."""
_LONGEST_WAIT = 300.0
Returned = TypeVar("Returned")


class Target(Protocol):
    """Takes a batch of items."""

    async def take(self, items: Sequence[Item]) -> Sequence[Result]:
        """Return a result for each item, in order, once the accepted ones are durable.

        Raises `Retryable` where that can't be had now, `Rejected` where it never will.
        """


class DryRun:
    """Judges and keeps nothing."""

    def __init__(self, judge: Judge, clock: Clock, source: str, phone_region: str = DEFAULT_REGION) -> None:
        self._judge = judge
        self._phone_region = phone_region
        self._clock = clock
        self._source = source

    async def take(self, items: Sequence[Item]) -> Sequence[Result]:
        """Return what would become of them."""
        return self.judge(items).results

    def judge(self, items: Sequence[Item]) -> Judged:
        """Judge items as those of a server key named like the source."""
        received_at = self._clock.now()
        new_id = partial(new_uuid7, received_at)
        return self._judge.judge(items, Reception(self._source, True, received_at, new_id, phone_region=self._phone_region))


class LogTarget:
    """Appends to the log, and rejects to the dead letters, as the HTTP door does."""

    def __init__(self, log: EventLog, dry_run: DryRun, metrics: Metrics, clock: Clock, source: str) -> None:
        self._log = log
        self._dry_run = dry_run
        self._metrics = metrics
        self._clock = clock
        self._source = source

    async def take(self, items: Sequence[Item]) -> Sequence[Result]:
        """Judge, append, bury."""
        judged = self._dry_run.judge(items)
        await persistently(lambda: self._log.append(EVENTS, judged.records + judged.merges))
        if judged.rejects:
            await bury(self._log, self._metrics, judged.rejects, self._source, self._clock.now())
        return judged.results


class NotNowError(LogUnavailable):
    """The other side asks for patience, for `wait`."""

    def __init__(self, message: str, retry_after: str) -> None:
        """`retry_after` is the header's value, whole seconds; anything else is no wish."""
        super().__init__(message)
        self.wait = timedelta(seconds=min(float(retry_after), _LONGEST_WAIT)) if retry_after.isdigit() else timedelta()


async def persistently(act: Callable[[], Awaitable[Returned]]) -> Returned:
    """Try up to `TRIES` times, waiting longer each time, then raise the last `Retryable`."""
    backoff = Backoff()
    for left in reversed(range(TRIES)):
        try:
            return await act()
        except Retryable as error:
            if not left:
                raise LogUnavailable(f"{error}; run the same again to go on where this broke off") from error
            asked = error.wait if isinstance(error, NotNowError) else timedelta()
            await asyncio.sleep(max(backoff.next_wait(), asked).total_seconds())
    raise AssertionError
