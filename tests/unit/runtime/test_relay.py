"""The relay's loop: until nothing is left, again when woken, patient while something is down, orderly at the end."""

import asyncio
from datetime import timedelta

import pytest

from services.contracts.errors import DeadLetterLimitReached, LogUnavailable
from services.runtime.relay import RelayLoop

NEVER = timedelta(hours=1)


class Table:
    """Rows that wait, published two at a time; `failures` answers fail first."""

    def __init__(self, rows: int = 0, failures: list[Exception] | None = None) -> None:
        self.rows = rows
        self.failures = failures or []
        self.looks = 0
        self.emptied = asyncio.Event()

    async def publish(self) -> int:
        """Publish up to two rows."""
        self.looks += 1
        if self.failures:
            raise self.failures.pop(0)
        published = min(2, self.rows)
        self.rows -= published
        if not self.rows:
            self.emptied.set()
        return published


async def finish(running: asyncio.Task[None], stop: asyncio.Event) -> None:
    """Tell a relay to stop and wait for it."""
    stop.set()
    await asyncio.wait_for(running, 2)


async def test_publishes_until_nothing_is_left_then_rests() -> None:
    """Five rows take three rounds, a fourth finds nothing, and then it does not look again by itself."""
    table, stop = Table(rows=5), asyncio.Event()
    running = asyncio.create_task(RelayLoop("test", table.publish, poll=NEVER).run(stop))
    await table.emptied.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (table.rows, table.looks) == (0, 4)
    await finish(running, stop)


async def test_a_wake_is_never_lost() -> None:
    """Rows that come while it rests, or just while it looks, are published at once."""
    table, stop = Table(), asyncio.Event()
    loop = RelayLoop("test", table.publish, poll=NEVER)
    running = asyncio.create_task(loop.run(stop))
    for _ in range(50):
        await asyncio.sleep(0)
        table.emptied.clear()
        table.rows = 1
        loop.wake()
        await asyncio.wait_for(table.emptied.wait(), 1)
    await finish(running, stop)


async def test_looks_by_itself_now_and_then() -> None:
    """Rows whose writer died before it could wake anybody are found all the same."""
    table, stop = Table(), asyncio.Event()
    running = asyncio.create_task(RelayLoop("test", table.publish, poll=timedelta(milliseconds=10)).run(stop))
    await table.emptied.wait()
    table.emptied.clear()
    table.rows = 1
    await asyncio.wait_for(table.emptied.wait(), 2)
    await finish(running, stop)


async def test_backs_off_and_goes_on() -> None:
    """While the log is down it tries again, and publishes when it is back."""
    table, stop = Table(rows=1, failures=[LogUnavailable("down"), LogUnavailable("down")]), asyncio.Event()
    running = asyncio.create_task(RelayLoop("test", table.publish, poll=NEVER).run(stop))
    await asyncio.wait_for(table.emptied.wait(), 5)
    await finish(running, stop)
    assert table.rows == 0


async def test_publishes_what_is_left_when_told_to_stop() -> None:
    """The end is orderly: what was written before is published once more round."""
    table, stop = Table(rows=5), asyncio.Event()
    stop.set()
    await RelayLoop("test", table.publish).run(stop)
    assert table.rows == 0


async def test_does_not_wait_for_a_log_that_is_down_when_told_to_stop() -> None:
    """At the end it tries once and leaves the rows for the next start."""
    table, stop = Table(rows=1, failures=[LogUnavailable("down")] * 9), asyncio.Event()
    running = asyncio.create_task(RelayLoop("test", table.publish).run(stop))
    await asyncio.sleep(0)
    await finish(running, stop)
    assert table.rows == 1


async def test_the_safety_stop_is_not_swallowed() -> None:
    """What is fatal ends the relay, and with it the process."""
    with pytest.raises(DeadLetterLimitReached):
        await RelayLoop("test", Table(failures=[DeadLetterLimitReached("stop")]).publish).run(asyncio.Event())
