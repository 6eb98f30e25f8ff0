"""What the rules report of themselves while they work."""

import asyncio
from pathlib import Path

from services.contracts.errors import Fatal
from services.rules.service import RulesService
from services.runtime.clock import FrozenClock
from services.runtime.database import Database
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.eventlog.port import TopicPartition
from services.runtime.settings import RulesSettings
from services.runtime.telemetry.metrics import process_metrics
from tests.builders import NOON
from tests.rules_desk import DISPATCH, EVENTS, PARTITIONS, POLL, Desk


class MoodyLog(EmbeddedEventLog):
    """A log that fails three times when a report asks for its bounds, in a way that nobody foresaw; then it has `answered`."""

    def __init__(self, file: Path, clock: FrozenClock) -> None:
        super().__init__(file, {EVENTS: PARTITIONS, DISPATCH: PARTITIONS}, clock)
        self.answered = asyncio.Event()
        self._refusals = 3

    async def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """Fail, or answer; whoever takes a partition is always answered."""
        task = asyncio.current_task()
        if task is not None and task.get_name() == "rules-report":
            if self._refusals:
                self._refusals -= 1
                raise Fatal("a fault of the log")
            self.answered.set()
        return await super().bounds(partition)


async def test_a_failed_report_is_not_the_last(tmp_path: Path, sqlite_database: Database) -> None:
    """Whatever a report fails with, the next one is made: lag does not freeze, and the service goes on."""
    clock = FrozenClock(NOON)
    log = MoodyLog(tmp_path / "log.db", clock)
    await log.start()
    await Desk(log, sqlite_database, clock, tmp_path).apply()
    service = RulesService(
        log, sqlite_database, clock, RulesSettings(), process_metrics(), poll_timeout=POLL, owner="desk", report_every=0.01
    )
    stop = asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    async with asyncio.timeout(30):
        await log.answered.wait()
    assert not running.done()
    stop.set()
    await running
    await log.close()
