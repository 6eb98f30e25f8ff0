"""The rules service: reads the events topic, one batch a partition at a time, several partitions at once."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog

from services.contracts.errors import Fenced, Retryable
from services.contracts.topics import EVENTS
from services.rules.activation import ActiveRulesets, NoActiveRuleset
from services.rules.cache import DocumentCache
from services.rules.owner import PartitionOwner
from services.rules.ownership import Ownership, end_tasks
from services.rules.room import Room
from services.rules.worker import Worker
from services.runtime.backoff import Backoff
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.dead_letters import DeadLetterLimit
from services.runtime.eventlog.port import Batch, EventLog, TopicPartition
from services.runtime.memory import spare_memory_work
from services.runtime.settings import RulesSettings
from services.runtime.telemetry.metrics import OUTBOX_DEPTH, PARTITION_LAG, Metrics

GROUP = "rules"
AT_ONCE = 4
"""Transactions under way at once, at most."""
RECORDS_AT_ONCE = 2_000
"""Their records: more would only make each of them take longer."""
_REPORT_EVERY = 1.0
_RULESET_POLL = 1.0
_log = structlog.get_logger()


class RulesService:
    """One worker process of the rules; also the listener of its reader.

    `owner` names this process in the cursors, `poll_timeout` (real time) is how long one look into the log may take: timers are
    fired at least that often; `report_every` (seconds, real time) how often lag is reported. Needs a migrated database and the topics
    `povod.events` and `povod.dispatch`.
    """

    def __init__(  # noqa: PLR0913 - the service's ports
        self,
        log: EventLog,
        database: Database,
        clock: Clock,
        settings: RulesSettings,
        metrics: Metrics,
        *,
        poll_timeout: timedelta = timedelta(milliseconds=200),
        owner: str = "rules",
        report_every: float = _REPORT_EVERY,
    ) -> None:
        self._log = log
        self._database = database
        self._batch = settings.batch
        self._metrics = metrics
        self._poll_timeout = poll_timeout
        self._report_every = report_every
        self._rulesets = ActiveRulesets(metrics)
        worker = Worker(database, clock, self._rulesets, DocumentCache())
        limit = DeadLetterLimit(settings.dead_letter_limit, settings.dead_letter_window)
        self._ownership = Ownership(log, database, worker, metrics, limit=limit, name=owner, on_failure=self._fail)
        self._reader = log.reader(GROUP, [EVENTS], self)
        self._tasks: dict[TopicPartition, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._room = Room(RECORDS_AT_ONCE)
        self._failure: BaseException | None = None

    def not_ready_because(self) -> str | None:
        """Say what readiness waits for; None: nothing."""
        if self._rulesets.live is None:
            return "no rule set is active yet: run `povod rules apply`"
        return None if self._ownership else "no partition of the events topic is assigned yet"

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then end the batches under way and leave the group.

        Raises what a person must look at: `LogTruncated`, `DeadLetterLimitReached`, `DocumentTooNew`.
        """
        if not await self._ruleset_is_there(stop):
            return
        spare_memory_work()
        reporting = asyncio.create_task(self._report(), name="rules-report")
        backoff = Backoff()
        try:
            await self._reader.start()
            while not stop.is_set() and self._failure is None:
                await self._poll(backoff)
        finally:
            reporting.cancel()
            await asyncio.gather(reporting, return_exceptions=True)
            await self._reader.close()
            await self.on_revoked(self._ownership.partitions())
        if self._failure is not None:
            raise self._failure

    async def on_assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Take the partitions: bump their epochs, begin to publish what a former owner left in the outbox."""
        return await self._ownership.take(partitions)

    async def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """End or abort the batches under way and forget the partitions."""
        tasks = [task for partition in partitions if (task := self._tasks.pop(partition, None)) is not None]
        await end_tasks(tasks)
        await self._ownership.let_go(partitions)

    async def _ruleset_is_there(self, stop: asyncio.Event) -> bool:
        """Wait for the first rule set, without consuming; False where we were stopped before."""
        told = False
        while not stop.is_set():
            try:
                async with self._database.reading() as connection:
                    await self._rulesets.current(connection)
            except Retryable as error:
                if not told:
                    _log.warning("waiting", action="rules.waiting", error=str(error))
                told = isinstance(error, NoActiveRuleset)
                await _sleep_unless(stop, _RULESET_POLL)
            else:
                return True
        return False

    async def _poll(self, backoff: Backoff) -> None:
        try:
            batches = await self._reader.poll(max_records=self._batch, timeout=self._poll_timeout)
        except Retryable as error:
            _log.warning("the event log can't be read, trying again", action="log.unavailable", error=str(error))
            await asyncio.sleep(backoff.next_wait().total_seconds())
            return
        backoff.reset()
        for partition, batch in batches.items():
            owner = self._ownership.of(partition)
            if owner is not None and partition not in self._tasks and owner.has_work(batch):
                self._reader.pause(partition)
                self._tasks[partition] = asyncio.create_task(self._process(owner, batch), name=f"rules-{partition.partition}")

    async def _process(self, owner: PartitionOwner, batch: Batch) -> None:
        """Work off one batch while its partition is paused; afterwards it goes on, from where the last commit left it."""
        try:
            async with self._slots, self._room.hold(len(batch.records)):
                await owner.process(batch)
            owner.backoff.reset()
        except Retryable as error:
            if not await self._recover(owner, error):
                return
        except Exception as error:  # noqa: BLE001 - a person must look: the service stops with it
            self._fail(error)
            return
        self._tasks.pop(owner.partition, None)
        self._reader.resume(owner.partition)

    async def _recover(self, owner: PartitionOwner, error: Retryable) -> bool:
        """The transaction was rolled back, or nobody knows: find out where we stand, and read on from there.

        False where the partition is another's now: then it stays paused until the log gives it to us again.
        """
        _log.warning("rolled back, trying again", action="batch.rolled_back", error=str(error), partition=owner.partition.partition)
        while True:
            await asyncio.sleep(owner.backoff.next_wait().total_seconds())
            try:
                await self._ownership.reread(owner)
            except Fenced:
                await self._ownership.let_go([owner.partition])
                self._tasks.pop(owner.partition, None)  # only now: whoever takes the partition from us waits for this task
                return False
            except Retryable:
                continue
            self._reader.seek(owner.partition, owner.cursor.next_offset)
            return True

    def _fail(self, error: BaseException) -> None:
        """Stop the service with this error; the first one counts."""
        _log.error("the rules stop", action="rules.failed", error=str(error))
        self._failure = self._failure or error

    async def _report(self) -> None:
        """Tell lag tools and metrics where we are, once a second; nothing depends on it, and nothing ends it."""
        while True:
            await asyncio.sleep(self._report_every)
            try:
                await self._report_once()
            except Exception as error:  # noqa: BLE001 - figures that stand still without a word would look like health
                _log.warning("lag and outbox are not reported", action="rules.unreported", error=f"{type(error).__name__}: {error}")

    async def _report_once(self) -> None:
        owners = self._ownership.owners()
        await self._reader.report_progress({owner.partition: owner.cursor.next_offset for owner in owners})
        self._metrics.set(OUTBOX_DEPTH, sum(owner.cursor.outbox_seq - owner.relay.published for owner in owners), outbox="rules")
        for owner in owners:
            await self._report_lag(owner)

    async def _report_lag(self, owner: PartitionOwner) -> None:
        try:
            _, end = await self._log.bounds(owner.partition)
        except Retryable:
            return
        lag = max(end - owner.cursor.next_offset, 0)
        self._metrics.set(PARTITION_LAG, lag, topic=owner.partition.topic, partition=str(owner.partition.partition))


async def _sleep_unless(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
