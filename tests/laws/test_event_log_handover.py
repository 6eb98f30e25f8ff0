"""The laws of the event log together with the cursors: ownership, fences, rebalances."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import text

from services.contracts.errors import Fenced, LogUnavailable
from services.runtime import cursors
from services.runtime.cursors import Cursor
from services.runtime.database import Database
from services.runtime.eventlog.port import Batch, EventLog, TopicPartition
from tests.laws.log_readers import SHORT, Starts, drain, owned, record, started

_EFFECT = text(
    "INSERT INTO dead_letters (topic, partition, record_offset, reason, error, value, dead_at)"
    " VALUES (:topic, :partition, :offset, :owner, '', :value, 0)"
)


class Worker:
    """Reads and commits as the services do: position and effects in one fenced transaction, a cursor a partition."""

    def __init__(self, name: str, log: EventLog, group: str, topic: str, database: Database) -> None:
        self.name = name
        self.done = 0
        self.cursors: dict[TopicPartition, Cursor] = {}
        self._database = database
        self.reader = log.reader(group, [topic], self)

    async def on_assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Bump the epochs."""
        for partition in partitions:
            async with self._database.transaction() as connection:
                self.cursors[partition] = await cursors.acquire(connection, partition, self.name)
        return {partition: self.cursors[partition].next_offset for partition in partitions}

    async def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget them."""
        for partition in partitions:
            self.cursors.pop(partition, None)

    async def run(self) -> None:
        """Work until cancelled; a log that is away for a moment is asked again."""
        while True:
            with suppress(LogUnavailable):
                for partition, batch in (await self.reader.poll(max_records=20, timeout=SHORT)).items():
                    if batch.records and partition in self.cursors:
                        await self.commit(partition, batch)
                continue
            await asyncio.sleep(0.01)  # a closed reader answers at once

    async def commit(self, partition: TopicPartition, batch: Batch) -> None:
        """Commit one batch; a fenced one leaves nothing behind."""
        old = self.cursors[partition]
        try:
            async with self._database.transaction() as connection:
                await cursors.advance(connection, old, old._replace(next_offset=batch.next_offset))
                rows = [
                    {"topic": r.topic, "partition": r.partition, "offset": r.offset, "owner": self.name, "value": r.value}
                    for r in batch.records
                ]
                await connection.execute(_EFFECT, rows)
        except Fenced:
            self.cursors.pop(partition, None)
            return
        self.cursors[partition] = old._replace(next_offset=batch.next_offset)
        self.done += len(batch.records)


async def effects(database: Database) -> list[tuple[int, int]]:
    """Return (partition, offset) of every effect, sorted."""
    async with database.reading() as connection:
        rows = await connection.execute(text("SELECT partition, record_offset FROM dead_letters ORDER BY 1, 2"))
        return [(row.partition, row.record_offset) for row in rows]


async def expected(log: EventLog, topic: str) -> list[tuple[int, int]]:
    """Return (partition, offset) of every record in the log."""
    ends = [(await log.bounds(TopicPartition(topic, p)))[1] for p in range(await log.partitions(topic))]
    return [(partition, offset) for partition, end in enumerate(ends) for offset in range(end)]


async def test_a_fenced_owner_can_not_commit(event_log: EventLog, topic: str, group: str, database: Database) -> None:
    """An owner whose partition was taken over commits nothing, neither position nor effects; the new owner does all of it."""
    await event_log.ensure_topics({topic: 1})
    await event_log.append(topic, [record("a", str(i)) for i in range(10)])
    zombie = Worker("zombie", event_log, group, topic, database)
    await zombie.reader.start()
    batch = await _first_batch(zombie)
    heir = Worker("heir", event_log, f"{group}-heir", topic, database)
    await heir.reader.start()
    inherited = await _first_batch(heir)
    await zombie.commit(TopicPartition(topic, 0), batch)
    assert (zombie.done, await effects(database)) == (0, [])
    await heir.commit(TopicPartition(topic, 0), inherited)
    assert (heir.done, await effects(database)) == (10, [(0, offset) for offset in range(10)])
    await zombie.reader.close()
    await heir.reader.close()


async def _first_batch(worker: Worker) -> Batch:
    async with asyncio.timeout(20):
        while True:
            for batch in (await worker.reader.poll(max_records=20, timeout=SHORT)).values():
                if batch.records:
                    return batch


async def test_a_stale_offset_is_fenced(database: Database) -> None:
    """A commit that does not begin where the last one ended is refused, whoever makes it."""
    at = TopicPartition("topic", 0)
    async with database.transaction() as connection:
        cursor = await cursors.acquire(connection, at, "owner")
    async with database.transaction() as connection:
        await cursors.advance(connection, cursor, cursor._replace(next_offset=5))
    with pytest.raises(Fenced, match="epoch 1 at offset 0"):
        async with database.transaction() as connection:
            await cursors.advance(connection, cursor, cursor._replace(next_offset=7))


class Load:
    """Appends ten records at a time until told to stop."""

    def __init__(self, log: EventLog, topic: str) -> None:
        self._log = log
        self._topic = topic
        self.appended = 0
        self.is_over = False

    async def run(self) -> None:
        """Append."""
        while not self.is_over:
            await self._log.append(self._topic, [record(f"customer-{k}", f"{self.appended}:{k}") for k in range(10)])
            self.appended += 10


async def test_a_rebalance_hands_over_exactly_once(event_log: EventLog, topic: str, group: str, database: Database) -> None:
    """While readers come and go under load, every record takes effect exactly once, and no position stays behind.

    Only the database is asked: the worker that is cut off may have committed what it never came to count.
    """
    await event_log.ensure_topics({topic: 4})
    load = Load(event_log, topic)
    workers = [Worker(f"worker-{i}", event_log, group, topic, database) for i in range(3)]
    appending = asyncio.create_task(load.run())
    running = [await _begin(workers[0], at_least=50), await _begin(workers[1], at_least=50)]
    running[0].cancel()
    await workers[0].reader.close()
    running.append(await _begin(workers[2], at_least=50))
    load.is_over = True
    await appending
    everything = await expected(event_log, topic)
    assert len(everything) == load.appended
    async with asyncio.timeout(90):
        while len(await effects(database)) < load.appended:
            _raise_what_failed(*running[1:])
            await asyncio.sleep(0.1)
    for task in running:
        task.cancel()
    for worker in workers[1:]:
        await worker.reader.close()
    assert await effects(database) == everything


async def _begin(worker: Worker, *, at_least: int) -> asyncio.Task[None]:
    """Let a worker join and wait until it has committed that many records."""
    await worker.reader.start()
    running = asyncio.create_task(worker.run())
    await _until(lambda: worker.done >= at_least, running)
    return running


async def _until(condition: Callable[[], bool], *running: asyncio.Task[None]) -> None:
    async with asyncio.timeout(90):
        while not condition():
            _raise_what_failed(*running)
            await asyncio.sleep(0.01)


def _raise_what_failed(*running: asyncio.Task[None]) -> None:
    for task in running:
        if task.done():
            task.result()


async def test_closing_revokes(event_log: EventLog, topic: str, group: str) -> None:
    """A reader that leaves has its partitions revoked, and the next one is given all of them."""
    await event_log.ensure_topics({topic: 2})
    both = {TopicPartition(topic, 0), TopicPartition(topic, 1)}
    first, second = Starts(), Starts()
    reader = await started(event_log, group, topic, first)
    await owned(reader, first, 2)
    await reader.close()
    await reader.close()
    assert set(first.revoked) == both
    heir = await started(event_log, group, topic, second)
    await owned(heir, second, 2)
    assert set(second.assigned) == both
    await heir.close()


async def test_a_listener_that_can_not_take_over_yet_is_asked_again(event_log: EventLog, topic: str, group: str) -> None:
    """`Retryable` from `on_assigned` (a database away) delays the first record; nothing is skipped."""
    await event_log.ensure_topics({topic: 1})
    await event_log.append(topic, [record("a", "first")])
    listener = Starts(refusals=2)
    reader = await started(event_log, group, topic, listener)
    found = await drain(reader, 1)
    assert (found[0].offset, listener.refusals) == (0, 0)
    await reader.close()


async def test_progress_reports_never_fail(event_log: EventLog, topic: str, group: str) -> None:
    """Telling the log where we are is for lag tools: it raises nothing, not even for a partition that is not ours."""
    await event_log.ensure_topics({topic: 1})
    listener = Starts()
    reader = await started(event_log, group, topic, listener)
    await owned(reader, listener, 1)
    await reader.report_progress({TopicPartition(topic, 0): 0})
    await reader.report_progress({TopicPartition(topic, 7): 3})
    await reader.close()


async def test_a_short_poll_is_short(event_log: EventLog, topic: str, group: str) -> None:
    """A poll of an idle topic ends about when it was told to."""
    await event_log.ensure_topics({topic: 1})
    listener = Starts()
    reader = await started(event_log, group, topic, listener)
    await owned(reader, listener, 1)
    begun = asyncio.get_running_loop().time()
    await reader.poll(max_records=10, timeout=timedelta(milliseconds=300))
    took = asyncio.get_running_loop().time() - begun
    assert 0.25 <= took < 2
    await reader.close()
