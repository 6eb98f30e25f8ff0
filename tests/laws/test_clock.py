"""The laws of the clock, over the system's, the frozen and the time-lapse one."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from services.runtime.clock import Clock, FrozenClock, LapseClock, SystemClock

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CLOCKS: list[Callable[[], Clock]] = [SystemClock, lambda: FrozenClock(START), lambda: LapseClock(START, 3600)]
every_clock = pytest.mark.parametrize("make", CLOCKS, ids=["system", "frozen", "lapse"])


@every_clock
def test_now_is_aware_utc_and_does_not_go_back(make: Callable[[], Clock]) -> None:
    """`now` is aware UTC, and a later reading is never earlier."""
    clock = make()
    readings = [clock.now() for _ in range(100)]
    assert {reading.tzinfo for reading in readings} == {UTC}
    assert readings == sorted(readings)


@every_clock
async def test_a_past_moment_is_not_waited_for(make: Callable[[], Clock]) -> None:
    """Sleeping until a moment that has come returns at once."""
    clock = make()
    async with asyncio.timeout(0.5):
        await clock.sleep_until(clock.now())
        await clock.sleep_until(clock.now() - timedelta(days=1))


@every_clock
async def test_sleeping_ends_at_the_moment(make: Callable[[], Clock]) -> None:
    """After the sleep `now` has reached the moment, and not before."""
    clock = make()
    moment = clock.now() + (timedelta(minutes=5) if isinstance(clock, LapseClock) else timedelta(milliseconds=80))
    sleeping = asyncio.create_task(clock.sleep_until(moment))
    await asyncio.sleep(0)
    assert not sleeping.done()
    if isinstance(clock, FrozenClock):
        clock.advance_to(moment)
    async with asyncio.timeout(5):
        await sleeping
    assert clock.now() >= moment


@every_clock
async def test_a_sleep_may_be_cancelled(make: Callable[[], Clock]) -> None:
    """A cancelled sleep ends with `CancelledError`."""
    clock = make()
    sleeping = asyncio.create_task(clock.sleep_until(clock.now() + timedelta(days=400)))
    await asyncio.sleep(0)
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping


async def test_a_frozen_clock_wakes_only_whom_it_concerns() -> None:
    """An advance wakes those whose moment has come and leaves the others asleep."""
    clock = FrozenClock(START)
    early = asyncio.create_task(clock.sleep_until(START + timedelta(hours=1)))
    late = asyncio.create_task(clock.sleep_until(START + timedelta(hours=2)))
    await asyncio.sleep(0)
    clock.advance(timedelta(hours=1))
    await early
    assert not late.done()
    clock.advance(timedelta(hours=1))
    await late


def test_a_frozen_clock_refuses_to_go_back() -> None:
    """Setting it to an earlier time is an error that names both."""
    clock = FrozenClock(START)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance_to(START - timedelta(microseconds=1))
    assert clock.now() == START


async def test_a_lapse_clock_runs_as_many_times_as_fast() -> None:
    """Two hours at 72,000 times the pace take a tenth of a second."""
    clock = LapseClock(START, 72_000)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await clock.sleep_until(START + timedelta(hours=2))
    took = loop.time() - begun
    assert 0.09 <= took < 1
