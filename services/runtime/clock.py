"""Time as a port: every `now` in Povod comes from a `Clock`.

`now()` is aware UTC. Sleeping is by the clock too, so that a frozen or a time-lapse run needs no patching.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where `now` comes from. Safe to share between tasks of one event loop."""

    def now(self) -> datetime:
        """Return the current time as aware UTC. Never blocks, never goes backwards by more than the system's clock does."""

    async def sleep_until(self, moment: datetime) -> None:
        """Return once `now() >= moment`; at once where it already is. May be cancelled."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the machine's time."""
        return datetime.now(UTC)

    async def sleep_until(self, moment: datetime) -> None:
        """Sleep on the event loop."""
        while (left := (moment - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - time is what is awaited
            await asyncio.sleep(min(left, 60.0))


class FrozenClock:
    """Stands still until somebody advances it: for tests, `simulate` and stepped runs."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._advanced = asyncio.Event()

    def now(self) -> datetime:
        """Return the time it was last set to."""
        return self._now

    def advance_to(self, moment: datetime) -> None:
        """Move forward to `moment` and wake whoever sleeps; raises `ValueError` on an attempt to go back."""
        if moment < self._now:
            raise ValueError(f"a clock does not go back: {moment.isoformat()} < {self._now.isoformat()}")
        self._now = moment
        self._advanced.set()
        self._advanced = asyncio.Event()

    def advance(self, duration: timedelta) -> None:
        """Move forward by a duration."""
        self.advance_to(self._now + duration)

    async def sleep_until(self, moment: datetime) -> None:
        """Wait for somebody to advance the clock far enough."""
        while self._now < moment:
            await self._advanced.wait()


class LapseClock:
    """Runs `speed` times as fast as the machine's clock, from `start` on.

    For soak runs and tests in which services must meet a running clock. It does not wait for whoever is slow, so a timer may fire late by
    whatever the machine takes, times `speed`; `povod demo` therefore steps a `FrozenClock` instead (docs/adr/0005).
    """

    def __init__(self, start: datetime, speed: float) -> None:
        self._start = start
        self._speed = speed
        self._began = time.monotonic()

    def now(self) -> datetime:
        """Return the time-lapse time."""
        return self._start + timedelta(seconds=(time.monotonic() - self._began) * self._speed)

    async def sleep_until(self, moment: datetime) -> None:
        """Sleep the shortened time."""
        while (left := (moment - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - time is what is awaited
            await asyncio.sleep(min(left / self._speed, 60.0))
