"""What the event log on Kafka does when Kafka goes away, goes dumb, or is killed."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.contracts.errors import LogUnavailable
from services.runtime.clock import SystemClock
from services.runtime.eventlog.kafka import KafkaEventLog
from services.runtime.eventlog.port import EventLog, EventLogReader, TopicPartition
from services.runtime.settings import LogSettings
from tests.kafka_proxy import KafkaProxy
from tests.laws.log_readers import SHORT, Starts, drain, owned, record, started, values

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.kafka


@pytest.fixture
async def proxy(kafka_bootstrap: str) -> AsyncIterator[KafkaProxy]:
    """Return a proxy in front of the broker."""
    proxy = KafkaProxy(kafka_bootstrap)
    await proxy.start()
    yield proxy
    proxy.release()
    await proxy.go_away()


@pytest.fixture
async def log(proxy: KafkaProxy) -> AsyncIterator[EventLog]:
    """Return a log that reaches Kafka through the proxy only, with the acknowledgement timeout that ingest uses."""
    log = KafkaEventLog(LogSettings(kind="kafka", bootstrap=proxy.bootstrap), SystemClock())
    await log.start()
    yield log
    proxy.release()
    await log.close()


async def fails_in_time(log: EventLog, topic: str) -> None:
    """Check that an append fails as promised: so that ingest can answer within a second."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(LogUnavailable):
        await log.append(topic, [record("a", "never acknowledged")])
    assert loop.time() - begun < 1.0


async def recovers(log: EventLog, topic: str, *, seconds: float) -> None:
    """Append until it works again; fails after that many seconds."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                await log.append(topic, [record("a", "after")])
            except LogUnavailable:
                await asyncio.sleep(0.1)
            else:
                return


async def test_a_black_hole_is_unavailable_in_time(log: EventLog, proxy: KafkaProxy, topic: str) -> None:
    """With a broker that swallows everything, appends fail within a second, again and again, and work again by themselves."""
    await log.ensure_topics({topic: 2})
    await log.append(topic, [record("a", "before")])
    proxy.swallow()
    for _ in range(6):  # longer than aiokafka believes in a silent connection
        await fails_in_time(log, topic)
    begun = asyncio.get_running_loop().time()
    assert not await log.is_healthy()
    assert asyncio.get_running_loop().time() - begun < 1.0
    proxy.release()
    await recovers(log, topic, seconds=10)
    assert await log.is_healthy()


async def test_a_slow_broker_is_waited_for(log: EventLog, proxy: KafkaProxy, topic: str) -> None:
    """A broker that answers questions but stores nothing for longer than silence is allowed is waited for: the append succeeds."""
    await log.ensure_topics({topic: 2})
    await log.append(topic, [record("a", "before")])
    proxy.keep_back()
    appending = asyncio.ensure_future(log.append(topic, [record("a", "late")]))
    _, waiting = await asyncio.wait({appending}, timeout=2.5)
    assert waiting == {appending}
    proxy.release()
    async with asyncio.timeout(5):
        await appending


async def test_a_slow_broker_that_goes_away_is_unavailable_in_time(log: EventLog, proxy: KafkaProxy, topic: str) -> None:
    """An append that waits for a slow broker fails within a second once it is silent altogether."""
    await log.ensure_topics({topic: 2})
    await log.append(topic, [record("a", "before")])
    proxy.keep_back()
    appending = asyncio.ensure_future(log.append(topic, [record("a", "late")]))
    await asyncio.wait({appending}, timeout=2.5)
    assert not appending.done()
    await proxy.go_away()
    begun = asyncio.get_running_loop().time()
    with pytest.raises(LogUnavailable):
        await appending
    assert asyncio.get_running_loop().time() - begun < 1.0


async def test_slowness_has_an_end(proxy: KafkaProxy, topic: str) -> None:
    """A broker that answers but never stores is unavailable after the slow timeout, not before."""
    settings = LogSettings(kind="kafka", bootstrap=proxy.bootstrap, slow_timeout=timedelta(seconds=2))
    log = KafkaEventLog(settings, SystemClock())
    await log.start()
    try:
        await log.ensure_topics({topic: 2})
        proxy.keep_back()
        begun = asyncio.get_running_loop().time()
        with pytest.raises(LogUnavailable, match=r"within 2\.\d s"):
            await log.append(topic, [record("a", "never")])
        assert 2 <= asyncio.get_running_loop().time() - begun < 3
    finally:
        proxy.release()
        await log.close()


async def test_new_topics_can_be_written_at_once(log: EventLog, topic: str) -> None:
    """When `ensure_topics` returns, every partition takes records within the time that ingest allows."""
    await log.ensure_topics({topic: 32})
    await asyncio.gather(*(log.append(topic, [record(f"c{number}", "first")]) for number in range(200)))


async def test_a_broker_that_is_away_is_unavailable_in_time(log: EventLog, proxy: KafkaProxy, topic: str) -> None:
    """With connections cut and refused, appends fail within a second, and work again when the broker is back."""
    await log.ensure_topics({topic: 2})
    await log.append(topic, [record("a", "before")])
    await proxy.go_away()
    for _ in range(4):
        await fails_in_time(log, topic)
    await proxy.start()
    await recovers(log, topic, seconds=10)


async def test_a_wedged_producer_is_replaced(log: EventLog, proxy: KafkaProxy, topic: str) -> None:
    """When nothing has come back for long, the producer is thrown away with what it holds, and a new one takes over."""
    await log.ensure_topics({topic: 1})
    await log.append(topic, [record("a", "before")])
    proxy.swallow()
    async with asyncio.timeout(30):
        while await session_of(log) is not None:
            await fails_in_time(log, topic)
    proxy.release()
    await recovers(log, topic, seconds=10)


async def session_of(log: EventLog) -> object:
    """Return the producer in use; None after it was thrown away."""
    assert isinstance(log, KafkaEventLog)
    assert log._appender is not None
    return log._appender._producers._session


async def test_reading_goes_on_after_a_black_hole(log: EventLog, proxy: KafkaProxy, topic: str, group: str) -> None:
    """A reader says `LogUnavailable` in bounded time while the broker is dumb, then delivers every record once, in order."""
    await log.ensure_topics({topic: 1})
    listener = Starts()
    reader = await started(log, group, topic, listener)
    await owned(reader, listener, 1)
    await log.append(topic, [record("a", str(i)) for i in range(10)])
    assert values(await drain(reader, 10)) == [str(i) for i in range(10)]
    proxy.swallow()
    begun = asyncio.get_running_loop().time()
    with pytest.raises(LogUnavailable):
        await drain(reader, 1)
    assert asyncio.get_running_loop().time() - begun < 5
    proxy.release()
    await recovers(log, topic, seconds=10)
    assert "after" in await read_on(reader, TopicPartition(topic, 0), 11)
    await reader.close()


async def read_on(reader: EventLogReader, partition: TopicPartition, end: int) -> list[str]:
    """Return what is read until that offset is passed, over `LogUnavailable`; fails after a while."""
    found: list[str] = []
    position = 0
    async with asyncio.timeout(30):
        while position < end:
            try:
                batches = await reader.poll(max_records=100, timeout=SHORT)
            except LogUnavailable:
                await asyncio.sleep(0.1)
                continue
            if batch := batches.get(partition):
                found += values(batch.records)
                position = batch.next_offset
    return found


async def test_a_log_that_can_not_be_reached_does_not_start(topic: str) -> None:
    """Starting without a broker is `LogUnavailable`, and closing what never started is harmless."""
    log = KafkaEventLog(LogSettings(kind="kafka", bootstrap="127.0.0.1:9"), SystemClock())
    with pytest.raises(LogUnavailable):
        await log.start()
    with pytest.raises(LogUnavailable):
        await log.append(topic, [record("a", "b")])
    assert not await log.is_healthy()
    await log.close()


async def test_a_standby_takes_over(kafka_log: EventLog, topic: str, group: str) -> None:
    """A member that has no partition, since there are fewer than members, is given one when its owner leaves."""
    await kafka_log.ensure_topics({topic: 1})
    listeners = [Starts(), Starts()]
    readers = [await started(kafka_log, group, topic, listener) for listener in listeners]
    async with asyncio.timeout(30):
        while not any(listener.assigned for listener in listeners):
            await asyncio.gather(*(reader.poll(max_records=1, timeout=SHORT) for reader in readers))
    owner = next(n for n, listener in enumerate(listeners) if listener.assigned)
    standby = 1 - owner
    await kafka_log.append(topic, [record("a", "handed over")])
    await readers[owner].close()
    assert values(await drain(readers[standby], 1)) == ["handed over"]
    assert listeners[owner].revoked == [TopicPartition(topic, 0)]
    await readers[standby].close()


async def test_closing_ends_a_poll_under_way(kafka_log: EventLog, topic: str, group: str) -> None:
    """A poll that waits while its reader is closed ends soon, with nothing or with `LogUnavailable`, never with a foreign error."""
    await kafka_log.ensure_topics({topic: 1})
    listener = Starts()
    reader = await started(kafka_log, group, topic, listener)
    await owned(reader, listener, 1)
    waiting = asyncio.create_task(reader.poll(max_records=1, timeout=timedelta(seconds=20)))
    await asyncio.sleep(0.05)
    await reader.close()
    async with asyncio.timeout(5):
        with pytest.raises(LogUnavailable):
            await waiting


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
        subprocess.run([sys.executable, program, command, "--state", str(self._state)], check=True, capture_output=True)

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
