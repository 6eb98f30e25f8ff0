"""Which partitions this process owns: taking them, rereading their cursors, letting them go."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.errors import Fenced, Retryable
from services.rules import store
from services.rules.owner import PartitionOwner
from services.rules.relay import OutboxRelay
from services.rules.worker import Worker
from services.runtime import cursors
from services.runtime.cursors import Cursor
from services.runtime.database import Database
from services.runtime.dead_letters import DeadLetterCount, DeadLetterLimit
from services.runtime.eventlog.port import EventLog, TopicPartition
from services.runtime.telemetry.metrics import FENCED, PARTITION_LAG, PARTITIONS_OWNED, Metrics

GRACE = 2.0
"""Seconds that work under way may take to end when its partition is let go."""
_log = structlog.get_logger()


class _Relay:
    """A relay's running task."""

    def __init__(self, relay: OutboxRelay, on_failure: Callable[[BaseException], None]) -> None:
        self._stop = asyncio.Event()
        self._on_failure = on_failure
        self._task = asyncio.create_task(relay.run(self._stop), name="outbox")
        self._task.add_done_callback(self._ended)

    async def end(self) -> None:
        """Let it publish what is left, then stop it; what it does not manage lies there for the next owner."""
        self._stop.set()
        await end_tasks([self._task])

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(error)


class Ownership:
    """The owned partitions, each with its relay running. `on_failure` is told when a relay can't go on."""

    def __init__(  # noqa: PLR0913 - what every owner is made of
        self,
        log: EventLog,
        database: Database,
        worker: Worker,
        metrics: Metrics,
        *,
        limit: DeadLetterLimit,
        name: str,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._log = log
        self._database = database
        self._worker = worker
        self._metrics = metrics
        self._limit = limit
        self._name = name
        self._on_failure = on_failure
        self._owners: dict[TopicPartition, PartitionOwner] = {}
        self._relays: dict[TopicPartition, _Relay] = {}

    def __len__(self) -> int:
        return len(self._owners)

    def of(self, partition: TopicPartition) -> PartitionOwner | None:
        """Return the owner of a partition, None where it is not ours."""
        return self._owners.get(partition)

    def owners(self) -> list[PartitionOwner]:
        """Return all owned partitions."""
        return list(self._owners.values())

    def partitions(self) -> list[TopicPartition]:
        """Return which partitions are owned."""
        return list(self._owners)

    async def take(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Bump the epochs, start the relays, return where to read on. Raises `Retryable`; then nothing was taken."""
        try:
            starts = {partition: await self._take(partition) for partition in partitions}
        except Retryable as error:
            _log.warning("not taken, tried again", action="partition.not_taken", error=str(error))
            await self.let_go(partitions)
            raise
        self._count(partitions)
        return starts

    async def _take(self, partition: TopicPartition) -> int:
        count, (first, _) = await self._log.partitions(partition.topic), await self._log.bounds(partition)
        async with self._database.transaction() as connection:
            cursor = await cursors.acquire(connection, partition, self._name, first)
            published = await _published(connection, cursor)
        self._own(cursor, count, published)
        return cursor.next_offset

    async def reread(self, owner: PartitionOwner) -> None:
        """Find out where a partition stands after a failure. Raises `Fenced` where it is another's now, `DatabaseUnavailable`."""
        self._worker.forget(owner.partition.partition)
        async with self._database.reading() as connection:
            try:
                cursor = await cursors.reread(connection, owner.cursor)
            except Fenced:
                self._metrics.add(FENCED, topic=owner.partition.topic)
                _log.warning("another owner has it", action="partition.fenced", partition=owner.partition.partition)
                raise
        owner.restart(cursor)
        owner.relay.wake()

    async def let_go(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget everything about these partitions; harmless for those that are not ours. No batch of theirs may be under way.

        They are not ours from the first moment on: whoever is told meanwhile to let go of one too has nothing left to do.
        """
        partitions = [partition for partition in partitions if self._owners.pop(partition, None) is not None]
        await asyncio.gather(*[self._relays.pop(partition).end() for partition in partitions])
        for partition in partitions:
            self._worker.forget(partition.partition)
            self._metrics.forget(PARTITION_LAG, topic=partition.topic, partition=str(partition.partition))
            _log.info("let go", action="partition.released", topic=partition.topic, partition=partition.partition)
        self._count(partitions)

    def _own(self, cursor: Cursor, partitions: int, published: int) -> None:
        partition = cursor.partition
        relay = OutboxRelay(self._database, self._log, self._metrics, partition.partition, published)
        owner = PartitionOwner(cursor, partitions, self._worker, relay, DeadLetterCount(self._limit), self._metrics)
        self._worker.forget(partition.partition)
        self._owners[partition] = owner
        self._relays[partition] = _Relay(relay, self._on_failure)
        _log.info("taken", action="partition.acquired", topic=partition.topic, partition=partition.partition, epoch=cursor.epoch)

    def _count(self, partitions: Iterable[TopicPartition]) -> None:
        for topic in {partition.topic for partition in partitions}:
            self._metrics.set(PARTITIONS_OWNED, sum(owned.topic == topic for owned in self._owners), topic=topic)


async def _published(connection: AsyncConnection, cursor: Cursor) -> int:
    """Return the number up to which a former owner has published: one less than the first row left."""
    left = await store.unpublished(connection, cursor.partition.partition, 0, 1)
    return left[0].seq - 1 if left else cursor.outbox_seq


async def end_tasks(tasks: Sequence[asyncio.Task[None]], grace: float = GRACE) -> None:
    """Give tasks a moment to end by themselves, then abort them: an aborted transaction is rolled back."""
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=grace)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
