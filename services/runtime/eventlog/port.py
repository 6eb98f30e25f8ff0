"""The event log as its users see it: append records durably, read owned partitions in order.

A log has topics, a topic has partitions, a partition is a sequence of records with rising (not always dense) offsets. All records
of one key lie in one partition in the order in which they were appended.
"""

from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import msgspec


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class OutgoingRecord(msgspec.Struct, frozen=True, gc=False):
    """A record to append. The partition is `partition_of(key)` unless named."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None


class Record(NamedTuple):
    """A record as read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    appended_at: datetime


class Batch(NamedTuple):
    """What one poll gave of one partition.

    `next_offset` is where reading goes on (one past the last record delivered; more where the log skipped offsets).
    `caught_up_at` is set where nothing lay behind these records: a reading of the clock taken before the log's end was looked up,
    so every record appended before that moment has been delivered. `None`: there is more to read.
    """

    records: Sequence[Record]
    next_offset: int
    caught_up_at: datetime | None


class PartitionListener(Protocol):
    """Told of partitions that come and go; awaited inside `poll`, so no record of a partition is delivered before it has answered."""

    async def on_assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Take ownership (bump the epoch) and return the offset at which to begin for each.

        An answer outside the log's range makes `poll` raise `LogTruncated`. Should not take longer than a few seconds. May raise
        `Retryable`: then nothing was taken (`on_revoked` will not be called for it), and the assignment is tried again.
        """

    async def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget everything about these partitions: finish or abort open transactions first. May be called for unknown ones."""


class EventLogReader(Protocol):
    """One member of a consumer group. Not safe for concurrent `poll`s."""

    async def start(self) -> None:
        """Connect and join the group. Raises `LogUnavailable`."""

    async def poll(self, *, max_records: int, timeout: timedelta) -> Mapping[TopicPartition, Batch]:  # noqa: ASYNC109 - a duration of the port, not a cancel scope
        """Return what is there, at most `max_records` a partition, waiting up to `timeout` (real time) for the first record.

        Only partitions now owned and not paused appear. Every owned partition that is caught up appears at least once a poll cycle
        with an empty batch, so that timers can fire. Raises `LogUnavailable` and `LogTruncated`. Each record is delivered once
        between two assignments; nothing is committed by reading.
        """

    def pause(self, partition: TopicPartition) -> None:
        """Stop delivering a partition (back-pressure); harmless twice. The pause ends with `resume` or when it is revoked."""

    def resume(self, partition: TopicPartition) -> None:
        """Deliver it again."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from `offset` (a batch is repeated after its transaction failed)."""

    async def report_progress(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Tell the log where we are, for lag tools only; never raises on failure, and nothing depends on it."""

    async def close(self) -> None:
        """Leave the group; `on_revoked` is called for what was owned. Harmless twice."""


class EventLog(Protocol):
    """A durable, partitioned, ordered log."""

    async def start(self) -> None:
        """Open it. Raises `LogUnavailable`, or `Fatal` where it can't be used at all (another owner holds the embedded log's lock)."""

    def append(self, topic: str, records: Sequence[OutgoingRecord]) -> Awaitable[None]:
        """Return, to be awaited once, what is done when every record is durable.

        Kafka: acknowledged by all in-sync replicas; embedded: fsynced. Concurrent calls are batched together. Raises `LogUnavailable` in
        bounded time, at once or awaited; some of the records may then have been stored all the same, so the caller repeats all of them
        and readers deduplicate. Raises `Rejected` (`code="record_too_large"`) for a record that can never be stored.
        """

    def reader(self, group: str, topics: Sequence[str], listener: PartitionListener) -> EventLogReader:
        """Return a new member of `group`, not yet started."""

    async def partitions(self, topic: str) -> int:
        """Return the topic's number of partitions. Raises `LogUnavailable`, or `Fatal` where it does not exist."""

    async def ensure_topics(self, topics: Mapping[str, int]) -> Mapping[str, int]:
        """Create the missing topics with that many partitions; return every topic's real count. Never shrinks or grows one."""

    async def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """Return (first offset still there, offset after the last). Raises `LogUnavailable`."""

    async def is_healthy(self) -> bool:
        """Say whether appends can be expected to work now; answers within a second and never raises."""

    async def close(self) -> None:
        """Flush and close. Harmless twice."""
