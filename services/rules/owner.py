"""One owned partition: its cursor, its batches one after another, and what to do with a record that can't be decided."""

import time

import structlog

from services.contracts.errors import Fatal, Retryable
from services.contracts.moments import from_micros, to_micros
from services.rules.intake import Refused, Sorted, sort_records
from services.rules.relay import OutboxRelay
from services.rules.worker import Done, Work, Worker
from services.runtime.backoff import Backoff
from services.runtime.cursors import Cursor
from services.runtime.dead_letters import DeadLetterCount
from services.runtime.eventlog.port import Batch
from services.runtime.telemetry.metrics import (
    DEAD_LETTERS,
    EVENT_LATENCY,
    RULES_BATCH_SECONDS,
    RULES_BATCH_SIZE,
    RULES_DECISIONS,
    RULES_INPUTS,
    Metrics,
)

_log = structlog.get_logger()


class PartitionOwner:
    """Works off one partition while we own it. Not for concurrent use: one batch at a time.

    `cursor` is what the last commit left; whoever doubts it rereads it and calls `restart`.
    """

    def __init__(
        self, cursor: Cursor, partitions: int, worker: Worker, relay: OutboxRelay, dead_letters: DeadLetterCount, metrics: Metrics
    ) -> None:
        """`partitions` is the topic's count."""
        self.cursor = cursor
        self.partition = cursor.partition
        self.relay = relay
        self.backoff = Backoff()
        self._partitions = partitions
        self._worker = worker
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._due_at = 0

    def restart(self, cursor: Cursor) -> None:
        """Go on from a cursor that was read anew; nothing that was held in memory counts any more."""
        self.cursor = cursor
        self._due_at = 0

    def has_work(self, batch: Batch) -> bool:
        """Say whether a batch moves the cursor or lets timers fire; most empty ones do neither."""
        if batch.records or batch.next_offset != self.cursor.next_offset:
            return True
        return batch.caught_up_at is not None and self._due_at <= to_micros(batch.caught_up_at)

    async def process(self, batch: Batch) -> None:
        """Decide a batch and fire the timers that are due with it; raises `Retryable` and `Fatal` only."""
        records = sort_records(batch.records, self._partitions)
        await self._work_off(Work(records, batch.next_offset, self._partitions, batch.caught_up_at))
        while self._due_at <= self.cursor.frontier_at:
            await self._work_off(Work((), self.cursor.next_offset, self._partitions))
        await self.relay.has_room(self.cursor.outbox_seq)

    async def _work_off(self, work: Work) -> None:
        """Commit the work; where that fails for another reason than the infrastructure, find out which part of it is to blame."""
        try:
            await self._commit(work)
        except (Retryable, Fatal):
            raise
        except Exception as error:  # noqa: BLE001 - whatever a record does to us, it must not stop the partition
            await self._isolate(work, error)

    async def _isolate(self, work: Work, error: Exception) -> None:
        """Halve the work until one record, or one customer's timers, is left; give that record up, or park those timers."""
        if work.records and work.timers:
            await self._work_off(work._replace(timers=0, caught_up_at=None))
            await self._work_off(work._replace(records=()))
        elif len(work.records) > 1:
            middle = len(work.records) // 2
            await self._work_off(work._replace(records=work.records[:middle], next_offset=work.records[middle].record.offset))
            await self._work_off(work._replace(records=work.records[middle:]))
        elif work.records:
            await self._commit(work._replace(records=(_give_up(work.records[0], error),)))
        elif work.timers > 1:
            await self._work_off(work._replace(timers=work.timers // 2))
        elif not work.park:
            await self._work_off(work._replace(park=f"{type(error).__name__}: {error}"))
        else:
            raise Fatal(f"the timers of {self.partition} can't be stored: {error}") from error

    async def _commit(self, work: Work) -> None:
        dead = [each for each in work.records if isinstance(each, Refused)]
        now = self._worker.now()
        self._dead_letters.admit(len(dead), now)
        began = time.perf_counter()
        done = await self._worker.work(self.cursor, work._replace(due_at=self._due_at))
        self.cursor, self._due_at = done.cursor, done.due_at
        if dead:
            self._dead_letters.note(len(dead), now)
        if done.turnover.outbox:
            self.relay.offer(done.turnover.outbox)
        self._measure(done, dead, time.perf_counter() - began)

    def _measure(self, done: Done, dead: list[Refused], seconds: float) -> None:
        turnover = done.turnover
        for kind, count in turnover.counts.items():
            self._metrics.add(RULES_INPUTS, count, kind=kind)
        for (verdict, reason), count in turnover.verdicts().items():
            self._metrics.add(RULES_DECISIONS, count, verdict=verdict, reason=reason)
        self._metrics.observe(RULES_BATCH_SECONDS, seconds)
        self._metrics.observe(RULES_BATCH_SIZE, len(turnover.history))
        if turnover.first_received_at is not None:
            self._metrics.observe(EVENT_LATENCY, max((turnover.now - from_micros(turnover.first_received_at)).total_seconds(), 0.0))
        for each in dead:
            self._metrics.add(DEAD_LETTERS, topic=self.partition.topic, reason=each.reason)
            _log.warning("a record was given up", action="record.dead_lettered", reason=each.reason, error=each.error, **_where(each))
        for customer, error in turnover.parked.items():
            _log.error("timers can't be fired, tried again in an hour", action="timers.parked", customer=customer, error=error)


def _give_up(culprit: Sorted, error: Exception) -> Refused:
    if isinstance(culprit, Refused):
        raise Fatal(f"a dead letter can't be stored: {error}") from error
    return Refused(culprit.record, "undecidable", f"{type(error).__name__}: {error}")


def _where(refused: Refused) -> dict[str, object]:
    record = refused.record
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}
