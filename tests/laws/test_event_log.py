"""The laws of the event log, over every adapter: storing, ordering, reading."""

import asyncio
from datetime import datetime

import pytest

from services.contracts.errors import Fatal, LogTruncated, LogUnavailable, Rejected
from services.contracts.partitioning import partition_of
from services.runtime.clock import FrozenClock, SystemClock
from services.runtime.eventlog.port import Batch, EventLog, EventLogReader, OutgoingRecord, TopicPartition
from tests.fixtures_log import SOON, Logs
from tests.laws.log_readers import SHORT, Starts, drain, owned, record, started, values

PARTITIONS = 4


@pytest.fixture
async def reader(event_log: EventLog, topic: str, group: str) -> EventLogReader:
    """Return a reader of the test's topic, which has four partitions."""
    await event_log.ensure_topics({topic: PARTITIONS})
    return await started(event_log, group, topic)


async def test_records_of_a_key_keep_their_order(event_log: EventLog, reader: EventLogReader, topic: str) -> None:
    """Records of one key are read in the order in which they were appended, while other keys are appended at the same time."""

    async def append(key: str) -> None:
        for i in range(0, 30, 3):
            await event_log.append(topic, [record(key, f"{key}:{i + j}") for j in range(3)])

    await asyncio.gather(*(append(f"customer-{k}") for k in range(10)))
    found = values(await drain(reader, 300))
    for k in range(10):
        assert [value for value in found if value.startswith(f"customer-{k}:")] == [f"customer-{k}:{i}" for i in range(30)]


async def test_unawaited_appends_of_a_key_keep_their_order(event_log: EventLog, reader: EventLogReader, topic: str) -> None:
    """Appends begun one after the other, without waiting for the first, are stored in that order."""
    appends = [asyncio.ensure_future(event_log.append(topic, [record("customer", str(i))])) for i in range(200)]
    await asyncio.gather(*appends)
    assert values(await drain(reader, 200)) == [str(i) for i in range(200)]


async def test_a_key_lives_where_partition_of_says(event_log: EventLog, reader: EventLogReader, topic: str) -> None:
    """Every record lies in the partition that `partition_of` gives for its key."""
    keys = ["", "a", "customer-1", "клиент", "x" * 255, *(str(i) for i in range(50))]
    await event_log.append(topic, [record(key, key) for key in keys])
    found = await drain(reader, len(keys))
    assert {r.value.decode(): r.partition for r in found} == {key: partition_of(key, PARTITIONS) for key in keys}


async def test_a_named_partition_wins(event_log: EventLog, reader: EventLogReader, topic: str) -> None:
    """A record that names its partition goes there, whatever its key is."""
    await event_log.append(topic, [OutgoingRecord(b"customer", str(p).encode(), (), p) for p in range(PARTITIONS)])
    assert {r.partition: r.value for r in await drain(reader, PARTITIONS)} == {p: str(p).encode() for p in range(PARTITIONS)}


async def test_a_record_comes_back_as_it_was(event_log: EventLog, reader: EventLogReader, topic: str) -> None:
    """Key, value and headers are read byte for byte as appended; the time of appending is aware."""
    sent = OutgoingRecord(b"\x00\xff", b"\x00bytes\xfe", (("traceparent", b"00-1"), ("traceparent", b"00-2"), ("empty", b"")))
    await event_log.append(topic, [sent])
    (found,) = await drain(reader, 1)
    assert (found.key, found.value, found.headers, found.offset) == (sent.key, sent.value, sent.headers, 0)
    assert found.appended_at.tzinfo is not None


async def test_an_acknowledged_record_outlives_a_restart(logs: Logs, topic: str, group: str) -> None:
    """What was acknowledged before the log was closed is there when it is opened again, and offsets go on from there."""
    log = await logs.open()
    await log.ensure_topics({topic: 1})
    await log.append(topic, [record("a", str(i)) for i in range(50)])
    await log.close()
    log = await logs.open()
    await log.append(topic, [record("a", "50")])
    found = await drain(await started(log, group, topic), 51)
    assert [(r.offset, r.value.decode()) for r in found] == [(i, str(i)) for i in range(51)]


async def test_a_reader_begins_where_its_listener_says(event_log: EventLog, topic: str, group: str) -> None:
    """Nothing but the listener's answer decides where reading begins."""
    await event_log.ensure_topics({topic: 1})
    await event_log.append(topic, [record("a", str(i)) for i in range(10)])
    reader = await started(event_log, group, topic, Starts({TopicPartition(topic, 0): 7}))
    assert values(await drain(reader, 3)) == ["7", "8", "9"]


async def test_two_groups_read_alike(event_log: EventLog, topic: str, group: str) -> None:
    """Every group gets every record."""
    await event_log.ensure_topics({topic: 2})
    await event_log.append(topic, [record(str(i), str(i)) for i in range(20)])
    one, two = await started(event_log, group, topic), await started(event_log, f"{group}-two", topic)
    assert sorted(values(await drain(one, 20))) == sorted(values(await drain(two, 20))) == sorted(str(i) for i in range(20))


async def test_a_poll_gives_no_more_than_asked(event_log: EventLog, reader: EventLogReader, topic: str) -> None:
    """`max_records` bounds a partition's batch, and what is left comes with the next poll."""
    await event_log.append(topic, [OutgoingRecord(b"a", str(i).encode(), (), 1) for i in range(25)])
    found = await drain(reader, 10, max_records=10)
    assert values(found) == [str(i) for i in range(10)]
    assert values(await drain(reader, 15, max_records=10)) == [str(i) for i in range(10, 25)]


async def test_a_waiting_poll_is_woken(event_log: EventLog, topic: str, group: str) -> None:
    """A record appended while a poll waits ends the wait long before its timeout."""
    await event_log.ensure_topics({topic: 1})
    listener = Starts()
    reader = await started(event_log, group, topic, listener)
    await owned(reader, listener, 1)
    waiting = asyncio.create_task(reader.poll(max_records=10, timeout=SOON))
    await asyncio.sleep(0)
    await event_log.append(topic, [record("a", "wake up")])
    async with asyncio.timeout(SOON.total_seconds() / 4):
        batches = await waiting
    assert values(batches[TopicPartition(topic, 0)].records) == ["wake up"]


async def test_seek_repeats(event_log: EventLog, topic: str, group: str) -> None:
    """After `seek` the same records come again, in order."""
    await event_log.ensure_topics({topic: 1})
    await event_log.append(topic, [record("a", str(i)) for i in range(10)])
    reader = await started(event_log, group, topic)
    await drain(reader, 10)
    reader.seek(TopicPartition(topic, 0), 4)
    assert values(await drain(reader, 6)) == [str(i) for i in range(4, 10)]


async def test_back_pressure_pauses(event_log: EventLog, topic: str, group: str) -> None:
    """A paused partition does not appear; after `resume` it goes on where it was, and nothing is lost or doubled."""
    await event_log.ensure_topics({topic: 2})
    listener = Starts()
    reader = await started(event_log, group, topic, listener)
    await owned(reader, listener, 2)
    reader.pause(TopicPartition(topic, 0))
    reader.pause(TopicPartition(topic, 0))
    await event_log.append(topic, [OutgoingRecord(b"a", str(i).encode(), (), i % 2) for i in range(20)])
    assert values(await drain(reader, 10)) == [str(i) for i in range(1, 20, 2)]
    assert TopicPartition(topic, 0) not in await reader.poll(max_records=10, timeout=SHORT)
    reader.resume(TopicPartition(topic, 0))
    assert values(await drain(reader, 10)) == [str(i) for i in range(0, 20, 2)]


async def test_caught_up_partitions_appear_empty(event_log: EventLog, topic: str, group: str, logs: Logs) -> None:
    """A partition without new records appears with an empty batch that says so, so that timers can fire."""
    await event_log.ensure_topics({topic: 2})
    reader = await started(event_log, group, topic)
    seen: set[TopicPartition] = set()
    async with asyncio.timeout(SOON.total_seconds()):
        while len(seen) < 2:
            batches = await reader.poll(max_records=10, timeout=SHORT)
            seen |= {at for at, batch in batches.items() if batch.caught_up_at is not None and not batch.records}
    assert seen == {TopicPartition(topic, 0), TopicPartition(topic, 1)}


async def test_caught_up_at_is_a_reading_of_the_clock(logs: Logs, frozen_clock: FrozenClock, topic: str, group: str) -> None:
    """The moment up to which all has been read is told in the clock's time; a batch with more behind it tells none."""
    log = await logs.open(frozen_clock)
    await log.ensure_topics({topic: 1})
    reader = await started(log, group, topic)
    await log.append(topic, [record("a", str(i)) for i in range(30)])
    batches: list[Batch] = []
    async with asyncio.timeout(SOON.total_seconds()):
        while sum(len(batch.records) for batch in batches) < 30 or batches[-1].caught_up_at is None:
            batches += (await reader.poll(max_records=10, timeout=SHORT)).values()
    full = [batch for batch in batches if batch.records]
    assert [batch.caught_up_at for batch in full[:-1]] == [None] * (len(full) - 1)
    assert batches[-1].caught_up_at == frozen_clock.now()


async def test_nothing_older_than_caught_up_at_comes_later(event_log: EventLog, topic: str, group: str) -> None:
    """A record acknowledged before `caught_up_at` has been delivered by then, while appends go on."""
    clock = SystemClock()
    await event_log.ensure_topics({topic: 1})
    reader = await started(event_log, group, topic)
    acknowledged: list[tuple[datetime, int]] = []

    async def append() -> None:
        for i in range(300):
            await event_log.append(topic, [record("a", str(i))])
            acknowledged.append((clock.now(), i))

    appending = asyncio.create_task(append())
    delivered = -1
    checked = 0
    async with asyncio.timeout(60):
        while delivered < 299:
            batch = (await reader.poll(max_records=7, timeout=SHORT)).get(TopicPartition(topic, 0))
            if batch is None:
                continue
            delivered = max([delivered, *(int(r.value) for r in batch.records)])
            if (moment := batch.caught_up_at) is not None:
                assert [i for at, i in acknowledged if at < moment and i > delivered] == []
                checked += 1
    await appending
    assert checked > 0


@pytest.mark.parametrize("start", [2, 11])
async def test_a_truncated_log_is_detected(logs: Logs, topic: str, group: str, start: int) -> None:
    """A cursor before the log's beginning or after its end is `LogTruncated`, never a silent reset."""
    log = await logs.open()
    await log.ensure_topics({topic: 1})
    await log.append(topic, [record("a", str(i)) for i in range(10)])
    await logs.trim(TopicPartition(topic, 0), 5)
    reader = await started(log, group, topic, Starts({TopicPartition(topic, 0): start}))
    with pytest.raises(LogTruncated, match=topic):
        await drain(reader, 1)


async def test_a_log_truncated_while_it_is_read_is_detected(logs: Logs, topic: str, group: str) -> None:
    """Records deleted before they were read are `LogTruncated`."""
    at = TopicPartition(topic, 0)
    log = await logs.open()
    await log.ensure_topics({topic: 1})
    await log.append(topic, [record("a", str(i)) for i in range(10)])
    reader = await started(log, group, topic)
    await drain(reader, 10)
    await logs.trim(at, 5)
    reader.seek(at, 3)
    with pytest.raises(LogTruncated, match=topic):
        await drain(reader, 1)


async def test_bounds_say_where_a_partition_begins_and_ends(logs: Logs, topic: str) -> None:
    """`bounds` gives the first offset still there and the one after the last."""
    at = TopicPartition(topic, 0)
    log = await logs.open()
    await log.ensure_topics({topic: 1})
    assert await log.bounds(at) == (0, 0)
    await log.append(topic, [record("a", str(i)) for i in range(10)])
    await logs.trim(at, 4)
    assert await log.bounds(at) == (4, 10)


async def test_topics_are_made_once(event_log: EventLog, topic: str) -> None:
    """`ensure_topics` makes what is missing, leaves what is there, and tells the real counts."""
    assert (await event_log.ensure_topics({topic: 4}))[topic] == 4
    assert (await event_log.ensure_topics({topic: 8}))[topic] == 4
    assert await event_log.partitions(topic) == 4


async def test_an_unknown_topic_is_fatal(event_log: EventLog, topic: str) -> None:
    """Nothing creates a topic by accident: using one that isn't there is an error for a person."""
    with pytest.raises(Fatal, match=topic):
        await event_log.partitions(topic)
    with pytest.raises(Fatal, match=topic):
        await event_log.append(topic, [record("a", "b")])


async def test_too_large_a_record_is_rejected(event_log: EventLog, topic: str) -> None:
    """A record that can never be stored is refused at once, with its code, and stops nothing else."""
    await event_log.ensure_topics({topic: 1})
    with pytest.raises(Rejected) as refusal:
        await event_log.append(topic, [OutgoingRecord(b"a", b"x" * 1_000_001)])
    assert refusal.value.code == "record_too_large"
    await event_log.append(topic, [OutgoingRecord(b"a", b"x" * 990_000)])
    assert await event_log.bounds(TopicPartition(topic, 0)) == (0, 1)


async def test_a_closed_log_is_unavailable(event_log: EventLog, topic: str) -> None:
    """After `close`, twice is harmless, an append is `LogUnavailable` at once and the log says that it is not healthy."""
    await event_log.ensure_topics({topic: 1})
    assert await event_log.is_healthy()
    await event_log.close()
    await event_log.close()
    async with asyncio.timeout(5):
        with pytest.raises(LogUnavailable):
            await event_log.append(topic, [record("a", "b")])
    assert not await event_log.is_healthy()
