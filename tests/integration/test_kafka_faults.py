"""What the event log on Kafka does when Kafka goes away, or goes dumb."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from services.contracts.errors import LogUnavailable
from services.runtime.clock import SystemClock
from services.runtime.eventlog.kafka import KafkaEventLog
from services.runtime.eventlog.port import EventLog, EventLogReader, TopicPartition
from services.runtime.settings import LogSettings
from tests.kafka_proxy import KafkaProxy
from tests.laws.log_readers import SHORT, Starts, drain, owned, record, started, values

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
