"""Appending to Kafka: our own accumulator in front of aiokafka's batch interface.

Each partition has a lane: appends wait in it for `linger` and while batches are under way (`kafka_departures`), are packed into a
batch (3 to 5 times cheaper than aiokafka's own `send`), and settled when the batch is acknowledged. Order within a lane is the order of
the calls; aiokafka keeps one request in flight a broker, and the producer is idempotent, so it is the order in the log.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from services.contracts.errors import LogUnavailable
from services.runtime.eventlog.kafka_appends import Append, Share
from services.runtime.eventlog.kafka_connections import Connections
from services.runtime.eventlog.kafka_departures import Departures, Lane
from services.runtime.eventlog.kafka_errors import FOREIGN, unavailable
from services.runtime.eventlog.kafka_overdue import Overdue, Patience
from services.runtime.eventlog.kafka_producers import Producers, Session
from services.runtime.eventlog.port import OutgoingRecord, TopicPartition

Settle = Callable[[BaseException | None], None]
_BACKLOG_BYTES = 134_217_728
"""More than this unacknowledged, and appends are refused: memory is bounded."""


class KafkaAppender:
    """Turns many small concurrent appends into few large batches. `is_there` asks Kafka whether it is, in bounded time."""

    def __init__(self, connections: Connections, linger: timedelta, patience: Patience, is_there: Callable[[], Awaitable[bool]]) -> None:
        self._producers = Producers(connections)
        self._departures = Departures(linger.total_seconds(), patience.silent)
        self._ack_timeout = patience.silent
        self._overdue: Overdue[Append] = Overdue(patience, lambda: self._producers.acknowledged_at, is_there, self._give_up)
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._weight = 0
        self._closed = False

    async def start(self) -> None:
        """Connect; raises `LogUnavailable`."""
        await self._producers.current()

    def append(self, topic: str, placed: Mapping[int, Sequence[OutgoingRecord]], weight: int) -> "asyncio.Future[None]":
        """Return what is done once all is acknowledged, or fails with `LogUnavailable` when the patience is over.

        `placed` are the records by partition, `weight` their bytes. Raises `LogUnavailable` where it can't even begin.
        """
        if self._closed:
            raise LogUnavailable("the event log is closed")
        if self._weight + weight > _BACKLOG_BYTES:
            raise LogUnavailable(f"{self._weight} bytes already wait for Kafka's acknowledgement")
        loop = asyncio.get_running_loop()
        append = Append(len(placed), loop.create_future(), loop.time(), weight)
        self._weight += weight
        self._departures.weigh(weight)
        for number, records in placed.items():
            lane = self._lanes.get((topic, number)) or self._open(TopicPartition(topic, number))
            lane.waiting.append(Share(append, records))
            if not lane.is_due:
                self._departures.add(lane)
        self._overdue.watch(append)
        return append.done

    async def close(self) -> None:
        """Send what waits, for as long as an acknowledgement may take, then disconnect."""
        self._closed = True
        waiting = [share.append.done for lane in self._lanes.values() for share in lane.waiting]
        if waiting:
            await asyncio.wait(waiting, timeout=self._ack_timeout)
        for lane in list(self._lanes.values()):
            if lane.task is not None:
                lane.task.cancel()
        await self._producers.close()
        self._overdue.stop()
        self._departures.stop()

    @property
    def acknowledged_at(self) -> float:
        """When Kafka last acknowledged, in the event loop's time."""
        return self._producers.acknowledged_at

    def _open(self, partition: TopicPartition) -> Lane:
        lane = self._lanes[partition] = Lane(partition)
        lane.task = asyncio.create_task(self._run(lane), name=f"append to {partition.topic}/{partition.partition}")
        return lane

    async def _run(self, lane: Lane) -> None:
        try:
            while True:
                await lane.go.wait()
                lane.go.clear()
                await self._send(lane)
        finally:  # cancelled by `close`, or a defect: nobody may wait for a lane that is gone
            self._lanes.pop(lane.partition, None)
            self._fail(lane, LogUnavailable("the event log stopped sending"))

    async def _send(self, lane: Lane) -> None:
        landed = partial(self._departures.landed, lane, lane.flight)
        try:
            session = await self._producers.current()
        except LogUnavailable as error:
            self._fail(lane, error)
            landed()
            return
        batch = session.producer.create_batch()
        if sharers := self._pack(batch, lane.waiting):
            batch.close()
            session.hand_over(batch.record_count())
            await self._hand_over(session, batch, lane.partition, partial(self._settle, session, sharers, landed))
        else:
            landed()
        if lane.waiting:
            self._departures.add(lane)

    def _pack(self, batch: Any, waiting: deque[Share]) -> list[Append]:
        """Move shares into the batch until it is full; return whom its acknowledgement concerns. Shares that were given up are dropped."""
        sharers: list[Append] = []
        add = batch.append
        while waiting:
            append, records = waiting[0]
            if append.done.done():
                waiting.popleft()
                self._forget(append)
                continue
            for at, record in enumerate(records):
                if add(timestamp=None, key=record.key, value=record.value, headers=list(record.headers)) is None:
                    if at:
                        waiting[0] = Share(append, records[at:])
                        append.left += 1
                        sharers.append(append)
                    return sharers
            waiting.popleft()
            sharers.append(append)
        return sharers

    async def _hand_over(self, session: Session, batch: Any, partition: TopicPartition, settle: Settle) -> None:
        try:
            acknowledged = await session.producer.send_batch(batch, partition.topic, partition=partition.partition)
        except FOREIGN as error:
            settle(error)
        else:
            acknowledged.add_done_callback(lambda done: settle(_error_of(done)))

    def _settle(self, session: Session, sharers: Sequence[Append], landed: Callable[[], None], error: BaseException | None) -> None:
        landed()
        self._producers.settled(session, error)
        for append in sharers:
            if error is None:
                append.part_stored()
            else:
                append.fail(unavailable("appending", error))
            self._forget(append)

    def _give_up(self, append: Append) -> None:
        waited = asyncio.get_running_loop().time() - append.begun_at
        append.fail(LogUnavailable(f"Kafka did not acknowledge within {waited:.1f} s"))
        self._forget(append)
        self._producers.suspect()

    def _fail(self, lane: Lane, error: LogUnavailable) -> None:
        while lane.waiting:
            append = lane.waiting.popleft().append
            append.fail(error)
            self._forget(append)

    def _forget(self, append: Append) -> None:
        """Count an append that is done as backlog no longer; harmless twice."""
        if append.done.done():
            self._weight -= append.weight
            append.weight = 0


def _error_of(done: "asyncio.Future[object]") -> BaseException | None:
    return asyncio.CancelledError() if done.cancelled() else done.exception()
