"""What the event log on Kafka keeps when the broker is killed, and when its reader is frozen."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.contracts.errors import LogUnavailable
from services.runtime.clock import SystemClock
from services.runtime.eventlog.kafka import KafkaEventLog
from services.runtime.eventlog.port import EventLog, TopicPartition
from services.runtime.settings import LogSettings
from tests.laws.log_readers import Starts, drain, owned, record, started, values

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.kafka


class OwnBroker:
    """A broker of this test's own, that may be killed."""

    def __init__(self, state: Path) -> None:
        self._state = state
        libraries = ROOT / "deploy" / "local" / ".state" / "libs"
        if libraries.is_dir():
            (state / "libs").symlink_to(libraries)

    def do(self, command: str) -> None:
        """Run a command of `deploy/local/services.py`."""
        program = str(ROOT / "deploy" / "local" / "services.py")
        done = subprocess.run([sys.executable, program, command, "--state", str(self._state)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"

    @property
    def bootstrap(self) -> str:
        """Its address."""
        return f"127.0.0.1:{(self._state / 'kafka' / 'port').read_text()}"


@pytest.fixture
def broker(own_kafka: None, tmp_path: Path) -> Iterator[OwnBroker]:
    """Return a started broker."""
    broker = OwnBroker(tmp_path)
    broker.do("restart-kafka")
    yield broker
    broker.do("kill-kafka")


class Shoppers:
    """Eight customers whose records are appended one by one, repeated until acknowledged."""

    def __init__(self, log: EventLog, topic: str) -> None:
        self._log = log
        self._topic = topic
        self.acknowledged: list[str] = []
        self.is_over = False
        self.enough = asyncio.Event()
        self.goal = 0

    async def shop(self, key: str) -> None:
        """Append until it is over."""
        n = 0
        while not self.is_over:
            try:
                await self._log.append(self._topic, [record(key, f"{key}:{n}")])
            except LogUnavailable:
                await asyncio.sleep(0.05)
                continue
            self.acknowledged.append(f"{key}:{n}")
            n += 1
            if len(self.acknowledged) >= self.goal:
                self.enough.set()

    async def more(self, count: int) -> None:
        """Wait until so many more are acknowledged; fails after a while."""
        self.goal = len(self.acknowledged) + count
        self.enough.clear()
        async with asyncio.timeout(30):
            await self.enough.wait()


async def test_what_a_killed_broker_acknowledged_is_there(broker: OwnBroker, topic: str, group: str) -> None:
    """Appends go on while the broker is killed and restarted; every acknowledged record is read afterwards, each customer's in order."""
    log = KafkaEventLog(LogSettings(kind="kafka", bootstrap=broker.bootstrap), SystemClock())
    await log.start()
    await log.ensure_topics({topic: 4})
    shoppers = Shoppers(log, topic)
    shopping = [asyncio.create_task(shoppers.shop(f"customer-{k}")) for k in range(8)]
    await shoppers.more(200)
    await asyncio.to_thread(broker.do, "kill-kafka")
    await asyncio.to_thread(broker.do, "restart-kafka")
    await shoppers.more(200)
    shoppers.is_over = True
    await asyncio.gather(*shopping)
    ends = [(await log.bounds(TopicPartition(topic, p)))[1] for p in range(4)]
    reader = await started(log, group, topic)
    found = list(dict.fromkeys(values(await drain(reader, sum(ends), max_records=1000))))
    assert set(shoppers.acknowledged) <= set(found)
    for k in range(8):
        mine = [int(value.partition(":")[2]) for value in found if value.startswith(f"customer-{k}:")]
        assert mine == sorted(mine)
    await reader.close()
    await log.close()


async def test_a_frozen_reader_loses_its_partitions(kafka_bootstrap: str, topic: str, group: str) -> None:
    """A reader that does not answer for longer than the session timeout loses its partitions to another, and gets none back unasked."""
    settings = LogSettings(kind="kafka", bootstrap=kafka_bootstrap, session_timeout=timedelta(seconds=2))
    frozen_log, log = KafkaEventLog(settings, SystemClock()), KafkaEventLog(settings, SystemClock())
    await frozen_log.start()
    await log.start()
    await log.ensure_topics({topic: 2})
    frozen_listener, listener = Starts(), Starts()
    frozen = await started(frozen_log, group, topic, frozen_listener)
    await owned(frozen, frozen_listener, 2)
    assert frozen_listener.revoked == []
    heir = await started(log, group, topic, listener)
    await owned(heir, listener, 1)  # the frozen one never polls again: it is waited for, then passed over
    assert len(set(listener.assigned)) >= 1
    await heir.close()
    await frozen_log.close()
    await log.close()
