"""Reading Kafka as a member of a consumer group; how rebalances reach `poll`: `kafka_rebalance`."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from aiokafka.errors import IllegalStateError, NoOffsetForPartitionError, OffsetOutOfRangeError

from services.contracts.errors import LogTruncated, LogUnavailable, Retryable
from services.runtime.clock import Clock
from services.runtime.eventlog.kafka_connections import Connections
from services.runtime.eventlog.kafka_ends import Ends
from services.runtime.eventlog.kafka_errors import FOREIGN, stopped, unavailable, within
from services.runtime.eventlog.kafka_rebalance import RebalanceNotes
from services.runtime.eventlog.kafka_records import foreign, ours, to_record
from services.runtime.eventlog.port import Batch, PartitionListener, Record, TopicPartition

_START = timedelta(seconds=10)
_REPORT = timedelta(seconds=1)
_RETRY_ASSIGNMENT = 0.2
"""Seconds until a listener that raised `Retryable` is asked again."""
_LOOK_AGAIN = 0.02
"""Seconds for which the ends of partitions are not looked up again while records are flowing."""


class KafkaReader:
    """A reader on Kafka; see the port for its duties."""

    def __init__(
        self, connections: Connections, ends: Ends, clock: Clock, subscription: tuple[str, Sequence[str]], listener: PartitionListener
    ) -> None:
        self._connections = connections
        self._ends = ends
        self._clock = clock
        self._group, self._topics = subscription
        self._listener = listener
        self._patience = connections.session_timeout.total_seconds() / 2
        self._consumer: Any = None
        self._held: set[TopicPartition] = set()
        self._paused: set[TopicPartition] = set()
        self._notes = RebalanceNotes(self._patience)
        self._error: BaseException | None = None
        self._looked_at = float("-inf")
        self._closed = False

    async def start(self) -> None:
        """Connect; joining the group goes on in the background. Raises `LogUnavailable`, `Fatal` for an unknown topic."""
        for topic in self._topics:
            await self._ends.count(topic)
        consumer = self._connections.member(self._group)
        try:
            await within(_START, consumer.start(), "starting a reader")
        except BaseException:
            await stopped(consumer.stop(), 5)
            raise
        self._consumer = consumer
        self._notes = RebalanceNotes(self._patience, consumer)
        consumer.subscribe(list(self._topics), listener=self._notes)

    async def poll(self, *, max_records: int, timeout: timedelta) -> Mapping[TopicPartition, Batch]:  # noqa: ASYNC109 - the port's
        """Return records as soon as there are any, else what is caught up after `timeout`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout.total_seconds()
        while True:
            await self._revive()
            is_settled = await self._settle()
            fetched = await self._fetch(max_records, deadline if is_settled else min(deadline, loop.time() + _RETRY_ASSIGNMENT))
            if fetched or loop.time() >= deadline:
                with _already_lost():  # rebalances are eager: what was fetched is read again by whoever has it next
                    return await self._batches(fetched)
                return {}

    def pause(self, partition: TopicPartition) -> None:
        """Leave the partition out until `resume`."""
        if partition in self._held:
            self._paused.add(partition)
            with _already_lost():
                self._consumer.pause(foreign(partition))

    def resume(self, partition: TopicPartition) -> None:
        """Deliver it again."""
        if partition in self._paused:
            self._paused.discard(partition)
            with _already_lost():
                self._consumer.resume(foreign(partition))

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from `offset`; of no effect on a partition that is not ours."""
        if partition in self._held:
            with _already_lost():
                self._consumer.seek(foreign(partition), offset)

    async def report_progress(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit to the group, where lag tools look; failures are not ours to mind."""
        known = {foreign(partition): offset for partition, offset in offsets.items() if partition in self._held}
        if known and not self._closed:
            with suppress(LogUnavailable):
                await within(_REPORT, self._consumer.commit(known), "reporting progress")

    async def close(self) -> None:
        """Leave the group."""
        if self._closed:
            return
        self._closed = True
        await self._let_go()

    async def _let_go(self) -> None:
        """Give everything back and disconnect."""
        self._notes.dismiss()
        if self._consumer is not None:
            await self._revoke()
            await stopped(self._consumer.stop(), 10)
            self._consumer = None

    def _live(self) -> Any:
        if self._consumer is None:  # `close` came while a poll was under way
            raise LogUnavailable("the reader is closed")
        return self._consumer

    async def _revive(self) -> None:
        """Raise what is left over from the last poll; after an error of the connection begin anew, as a new member."""
        if self._closed:
            raise LogUnavailable("the reader is closed")
        error, self._error = self._error, None
        if isinstance(error, OffsetOutOfRangeError):
            raise LogTruncated(f"the log no longer holds the offsets we stand at: {error}") from error
        if error is not None:
            await self._let_go()
            raise unavailable("reading", error) from error
        if self._consumer is None:
            await self.start()

    async def _settle(self) -> bool:
        """Deal with what the background noted; false where the listener must be asked again."""
        notes = self._notes
        notes.changed.clear()
        if notes.is_revoking:
            await self._revoke()
            notes.revoked()
        if not (gained := notes.gained):
            return True
        try:
            starts = await self._listener.on_assigned(sorted(gained))
        except Retryable:
            return False
        self._held |= gained  # the listener has taken them: whatever happens now, it is told when they go
        if notes.gained is gained:
            await self._check(starts)
        if notes.gained is not gained:  # a rebalance came meanwhile: what we have taken is given back first
            return False
        self._begin(starts)
        notes.gained = frozenset()
        return True

    async def _check(self, starts: Mapping[TopicPartition, int]) -> None:
        """Raise `LogTruncated` where the log does not hold where we stand; where it can't be asked, what was taken is given back."""
        try:
            bounds = await self._ends.bounds(list(starts))
        except Retryable:
            await self._revoke()
            raise
        for at, start in starts.items():
            first, end = bounds[at]
            if not first <= start <= end:
                raise LogTruncated(f"{at.topic}/{at.partition}: we stand at {start}, the log holds {first} to {end}")

    def _begin(self, starts: Mapping[TopicPartition, int]) -> None:
        for partition, start in starts.items():
            self._live().seek(foreign(partition), start)
            self._live().resume(foreign(partition))
            self._held.add(partition)

    async def _revoke(self) -> None:
        lost, self._held, self._paused = sorted(self._held), set(), set()
        if lost:
            await self._listener.on_revoked(lost)

    async def _fetch(self, limit: int, until: float) -> dict[TopicPartition, list[Record]]:
        """Wait for records until then, or until a rebalance wants our attention.

        aiokafka is asked even where we hold nothing: a member that never asks is taken for dead after five minutes.
        """
        left = max(0.0, until - asyncio.get_running_loop().time())
        changed = asyncio.ensure_future(self._notes.changed.wait())
        waits: set[asyncio.Future[Any]] = {changed}
        getting: asyncio.Future[Any] | None = None
        if not self._notes.is_revoking and not self._notes.gained:
            getting = asyncio.ensure_future(self._live().getmany(timeout_ms=round(left * 1000), max_records=limit))
            waits.add(getting)
        try:
            await asyncio.wait(waits, timeout=left + 0.05, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if getting is None or not getting.done():
            return {}
        return await self._drain(getting, limit)

    async def _drain(self, getting: "asyncio.Future[Any]", limit: int) -> dict[TopicPartition, list[Record]]:
        """Take what has come, and what else lies ready in other partitions; an error is kept for the next poll where there are records."""
        fetched: dict[TopicPartition, list[Record]] = {}
        try:
            found = getting.result()
            while found:
                fetched.update({ours(at): [to_record(record) for record in records] for at, records in found.items()})
                rest = [foreign(at) for at in self._held - fetched.keys()]
                found = await self._live().getmany(*rest, max_records=limit) if rest else {}
        except NoOffsetForPartitionError:
            pass  # of a partition just assigned, which `_settle` gives its position
        except FOREIGN as error:
            self._error = error
            if not fetched:
                await self._revive()
        return fetched

    async def _batches(self, fetched: Mapping[TopicPartition, Sequence[Record]]) -> dict[TopicPartition, Batch]:
        running = self._held & fetched.keys()  # also what was paused meanwhile: aiokafka does not give it twice
        if not self._notes.is_revoking:
            running |= self._held - self._paused
        positions = {at: await self._position(at, fetched.get(at, ())) for at in running}
        moment = self._clock.now()  # before the ends are looked up: see `Batch.caught_up_at`
        ends = await self._look(positions, is_urgent=not fetched)
        batches = {}
        for at, position in positions.items():
            is_caught_up = at in ends and position >= ends[at]
            if is_caught_up or fetched.get(at):
                batches[at] = Batch(fetched.get(at, ()), position, moment if is_caught_up else None)
        return batches

    async def _position(self, at: TopicPartition, records: Sequence[Record]) -> int:
        """Return where reading goes on: past the control records that Kafka keeps between ours."""
        if records and self._notes.is_revoking:
            return records[-1].offset + 1
        position: int = await self._live().position(foreign(at))
        return position

    async def _look(self, positions: Mapping[TopicPartition, int], *, is_urgent: bool) -> Mapping[TopicPartition, int]:
        """Return the ends of partitions that may be caught up; raises `LogUnavailable` only where there is nothing else to tell."""
        now = asyncio.get_running_loop().time()
        if self._notes.is_revoking or not (is_urgent or now - self._looked_at > _LOOK_AGAIN):
            return {}
        near = [at for at, position in positions.items() if position >= (self._live().last_stable_offset(foreign(at)) or 0)]
        self._looked_at = now
        try:
            return await self._ends.ends(near) if near else {}
        except LogUnavailable:
            if is_urgent:
                raise
            return {}


def _already_lost() -> suppress:
    """Let pass what aiokafka says of a partition that a rebalance took between two polls: the next `poll` tells of it."""
    return suppress(IllegalStateError)
