"""How far a partition has been worked off, for good, and who may say so: the fence of exactly-once.

A row a partition, table `cursors` (owner: runtime). Taking a partition bumps its epoch; every commit names the epoch and the offset
it began from, so a zombie's transaction either commits before the bump or fails after it. No clock, lease or session is relied on.
"""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.errors import Fenced
from services.runtime.eventlog.port import TopicPartition

_ACQUIRE = text(
    "INSERT INTO cursors (topic, partition, epoch, owner, next_offset, outbox_seq, frontier_at)"
    " VALUES (:topic, :partition, 1, :owner, :first_offset, 0, 0)"
    " ON CONFLICT (topic, partition) DO UPDATE SET epoch = cursors.epoch + 1, owner = excluded.owner"
    " RETURNING epoch, next_offset, outbox_seq, frontier_at"
)
_ADVANCE = text(
    "UPDATE cursors SET next_offset = :next_offset, outbox_seq = :outbox_seq, frontier_at = :frontier_at"
    " WHERE topic = :topic AND partition = :partition AND epoch = :epoch AND next_offset = :old_offset"
)
_SETTLE = text(
    "UPDATE cursors SET outbox_seq = :outbox_seq, frontier_at = :frontier_at"
    " WHERE topic = :topic AND partition = :partition AND epoch = :epoch AND next_offset = :next_offset"
)
_READ = text("SELECT epoch, next_offset, outbox_seq, frontier_at FROM cursors WHERE topic = :topic AND partition = :partition")
_OFFSETS = text("SELECT topic, partition, next_offset FROM cursors")


class Cursor(NamedTuple):
    """Where an owner stands in a partition: a value; every commit makes the next one.

    `outbox_seq` is the last sequence number given to an outbox row of this partition, `frontier_at` the time (microseconds) up to
    which timers have been fired; it never goes back.
    """

    partition: TopicPartition
    epoch: int
    next_offset: int
    outbox_seq: int = 0
    frontier_at: int = 0


async def offsets(connection: AsyncConnection) -> Mapping[TopicPartition, int]:
    """Return up to where each partition has been worked off, of those that ever had an owner."""
    rows = await connection.execute(_OFFSETS)
    return {TopicPartition(row.topic, row.partition): row.next_offset for row in rows}


async def acquire(connection: AsyncConnection, partition: TopicPartition, owner: str, first_offset: int = 0) -> Cursor:
    """Take the partition: bump its epoch and return where to go on. Waits for a former owner's open transaction (its row lock).

    `first_offset` is where the log begins: a partition that nobody ever read is begun there, so that a cursor before the log's beginning
    always means lost records.
    """
    parameters = {"topic": partition.topic, "partition": partition.partition, "owner": owner, "first_offset": first_offset}
    row = (await connection.execute(_ACQUIRE, parameters)).one()
    return Cursor(partition, row.epoch, row.next_offset, row.outbox_seq, row.frontier_at)


async def advance(connection: AsyncConnection, old: Cursor, new: Cursor) -> None:
    """Move the cursor inside the caller's transaction, as its first statement; raises `Fenced` where the partition has another owner."""
    result = await connection.execute(
        _ADVANCE,
        {
            "topic": old.partition.topic,
            "partition": old.partition.partition,
            "epoch": old.epoch,
            "old_offset": old.next_offset,
            "next_offset": new.next_offset,
            "outbox_seq": new.outbox_seq,
            "frontier_at": new.frontier_at,
        },
    )
    if result.rowcount != 1:
        raise Fenced(f"{old.partition.topic}/{old.partition.partition}: epoch {old.epoch} at offset {old.next_offset} is over")


async def settle(connection: AsyncConnection, cursor: Cursor) -> None:
    """Write the outbox number and frontier that the work after `advance` led to, in the same transaction."""
    parameters = {"topic": cursor.partition.topic, "partition": cursor.partition.partition}
    values = {"epoch": cursor.epoch, "next_offset": cursor.next_offset, "outbox_seq": cursor.outbox_seq, "frontier_at": cursor.frontier_at}
    result = await connection.execute(_SETTLE, parameters | values)
    if result.rowcount != 1:
        raise Fenced(f"{cursor.partition.topic}/{cursor.partition.partition}: epoch {cursor.epoch} is over")


async def reread(connection: AsyncConnection, cursor: Cursor) -> Cursor:
    """Return where the partition really stands, after a commit whose result is unknown; raises `Fenced` where it has another owner."""
    parameters = {"topic": cursor.partition.topic, "partition": cursor.partition.partition}
    row = (await connection.execute(_READ, parameters)).one()
    if row.epoch != cursor.epoch:
        raise Fenced(f"{cursor.partition.topic}/{cursor.partition.partition}: epoch {cursor.epoch} is over")
    return Cursor(cursor.partition, row.epoch, row.next_offset, row.outbox_seq, row.frontier_at)
