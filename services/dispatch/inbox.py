"""The inbox: the dispatch topic becomes rows of the journal, each message once.

One transaction a batch and partition: 1. move the cursor (the fence), 2. insert messages, by primary key, so that repeats vanish,
3. take recalls, 4. dead-letter what can't be decoded, 5. commit; then the senders are woken.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts import codec
from services.contracts.errors import DatabaseRefused, DatabaseUnavailable, Fenced, InvalidCommand, LogUnavailable
from services.contracts.messages import Command, Message, Recall
from services.contracts.moments import to_micros
from services.dispatch import statements, verdicts
from services.dispatch.journal import message_of
from services.dispatch.outcomes import outcome_of
from services.dispatch.states import Delivery, State
from services.runtime import cursors, dead_letters, event_outbox
from services.runtime.clock import Clock
from services.runtime.cursors import Cursor
from services.runtime.database import Database
from services.runtime.dead_letters import DeadLetter, DeadLetterCount, DeadLetterLimit
from services.runtime.eventlog.port import Batch, EventLog, EventLogReader, Record, TopicPartition

TOPIC = "povod.dispatch"
GROUP = "povod.dispatch"
_BATCH = 1_000
_POLL = timedelta(milliseconds=500)
_BACK_OFF_SECONDS = 0.5
_log = structlog.get_logger()


class Taken(NamedTuple):
    """A batch, decoded."""

    messages: Mapping[str, Message]
    recalls: Mapping[str, Recall]
    broken: Sequence[tuple[Record, InvalidCommand]]


class Inbox:
    """The consumer of the dispatch topic for one worker. `wake` is called after every commit that brought commands.

    More dead letters than `limit` allows on one partition stop it.
    """

    def __init__(
        self, log: EventLog, database: Database, clock: Clock, worker: str, wake: Callable[[], None], limit: DeadLetterLimit
    ) -> None:
        self._log = log
        self._database = database
        self._clock = clock
        self._worker = worker
        self._wake = wake
        self._limit = limit
        self._cursors: dict[TopicPartition, Cursor] = {}
        self._given_up: dict[TopicPartition, DeadLetterCount] = {}

    async def on_assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Bump the partitions' epochs and say where to read on."""
        firsts = {partition: (await self._log.bounds(partition))[0] for partition in sorted(partitions)}
        async with self._database.transaction() as connection:
            taken = {partition: await cursors.acquire(connection, partition, self._worker, first) for partition, first in firsts.items()}
        self._cursors.update(taken)
        self._given_up.update({partition: DeadLetterCount(self._limit) for partition in taken})
        return {partition: cursor.next_offset for partition, cursor in taken.items()}

    async def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget the partitions; polling and committing alternate in one task, so nothing is open."""
        for partition in partitions:
            self._cursors.pop(partition, None)

    async def run(self, stop: asyncio.Event) -> None:
        """Take batches until `stop` is set. Raises `Fatal` where going on would be wrong."""
        reader = self._log.reader(GROUP, [TOPIC], self)
        await self._start(reader, stop)
        try:
            while not stop.is_set():
                await self._cycle(reader)
        finally:
            await reader.close()

    async def _start(self, reader: EventLogReader, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                return await reader.start()
            except LogUnavailable as error:
                await _back_off("inbox.waiting", error)
        return None

    async def _cycle(self, reader: EventLogReader) -> None:
        try:
            batches = await reader.poll(max_records=_BATCH, timeout=_POLL)
        except (LogUnavailable, DatabaseUnavailable) as error:
            return await _back_off("inbox.unread", error)
        for partition, batch in batches.items():
            await self._take_or_repeat(reader, partition, batch)
        await reader.report_progress({partition: cursor.next_offset for partition, cursor in self._cursors.items()})
        return None

    async def _take_or_repeat(self, reader: EventLogReader, partition: TopicPartition, batch: Batch) -> None:
        try:
            await self.take(partition, batch)
        except Fenced as error:
            _log.warning("another owner has the partition", action="inbox.fenced", error=str(error))
            self._cursors.pop(partition, None)
        except DatabaseUnavailable as error:
            if partition in self._cursors:
                reader.seek(partition, self._cursors[partition].next_offset)
            await _back_off("inbox.repeated", error)

    async def take(self, partition: TopicPartition, batch: Batch) -> None:
        """Store one batch; a batch that the database refuses is halved until the record at fault is alone, and dead-lettered."""
        cursor = self._cursors.get(partition)
        if cursor is None or batch.next_offset <= cursor.next_offset:
            return
        try:
            await self._store(cursor, batch)
        except DatabaseRefused as error:
            await self._halve(partition, batch, error)
        if batch.records:
            self._wake()

    async def _halve(self, partition: TopicPartition, batch: Batch, error: DatabaseRefused) -> None:
        if len(batch.records) == 1:
            await self._store(self._cursors[partition], batch, refused=error)
            return
        middle = len(batch.records) // 2
        boundary = batch.records[middle].offset
        await self.take(partition, Batch(batch.records[:middle], boundary, None))
        await self.take(partition, Batch(batch.records[middle:], batch.next_offset, batch.caught_up_at))

    async def _store(self, cursor: Cursor, batch: Batch, refused: DatabaseRefused | None = None) -> None:
        moved = cursor._replace(next_offset=batch.next_offset)
        now = self._clock.now()
        taken = decode(batch.records) if refused is None else Taken({}, {}, [(batch.records[0], _as_invalid(refused))])
        count = self._given_up[cursor.partition]
        count.admit(len(taken.broken), now)
        async with self._database.transaction() as connection:
            await cursors.advance(connection, cursor, moved)
            await _store_messages(connection, taken.messages, now)
            await _store_recalls(connection, taken.recalls, now)
            await dead_letters.put(connection, [DeadLetter(record, error.code, error.message, now) for record, error in taken.broken])
        self._cursors[cursor.partition] = moved
        count.note(len(taken.broken), now)


def decode(records: Sequence[Record]) -> Taken:
    """Decode records; the first message of an id counts, and so does its first recall."""
    messages: dict[str, Message] = {}
    recalls: dict[str, Recall] = {}
    broken: list[tuple[Record, InvalidCommand]] = []
    for record in records:
        try:
            command = _decoded(record.value)
        except InvalidCommand as error:
            broken.append((record, error))
            continue
        if isinstance(command, Message):
            messages.setdefault(command.message_id, command)
        else:
            recalls.setdefault(command.message_id, command)
    return Taken(messages, recalls, broken)


def _decoded(value: bytes) -> Command:
    command = codec.decode_command(value)
    if isinstance(command, Message):
        windows = [moment for window in command.windows for moment in (window.starts_at, window.ends_at)]
        if any(moment.tzinfo is None for moment in (command.decided_at, command.not_before, command.expires_at, *windows)):
            raise InvalidCommand("times must carry an offset", code="naive_time")
    return command


async def _store_messages(connection: AsyncConnection, messages: Mapping[str, Message], now: datetime) -> None:
    if not messages:
        return
    rows = await statements.INSERT.execute(connection, [_row(message) for message in messages.values()])
    late = [(messages[row.message_id], row.reason) for row in rows if row.state == "recalled"]
    await _report_recalled(connection, [(Delivery(message=message), reason) for message, reason in late], now)


async def _store_recalls(connection: AsyncConnection, recalls: Mapping[str, Recall], now: datetime) -> None:
    if not recalls:
        return
    parameters = {"now": to_micros(now)}
    rows = await statements.RECALL.execute(connection, [(recall.message_id, recall.reason) for recall in recalls.values()], parameters)
    taken_back = [
        (Delivery(message=message_of(row.command), attempt=row.attempt, ambiguous=row.ambiguous), row.reason)
        for row in rows
        if row.state != State.SENDING
    ]
    await _report_recalled(connection, taken_back, now)
    tombstones = [(recall.message_id, recall.customer, recall.reason) for recall in recalls.values()]
    await statements.INSERT_TOMBSTONE.execute(connection, tombstones, parameters)


async def _report_recalled(connection: AsyncConnection, recalled: Sequence[tuple[Delivery, str]], now: datetime) -> None:
    events = [event for delivery, reason in recalled if (event := outcome_of(delivery, verdicts.recalled(delivery, reason), now))]
    if events:
        await event_outbox.put(connection, events)


def _row(message: Message) -> tuple[object, ...]:
    first = verdicts.next_allowed(message.windows, message.not_before) or message.expires_at
    return (
        message.message_id,
        message.customer,
        message.channel,
        message.recipient,
        message.journey,
        message.step,
        message.template,
        message.priority,
        to_micros(first),
        to_micros(message.expires_at),
        codec.encode_command(message).decode(),
    )


def _as_invalid(error: DatabaseRefused) -> InvalidCommand:
    return InvalidCommand(error.message, code=error.code)


async def _back_off(action: str, error: Exception) -> None:
    _log.warning("trying again", action=action, error=str(error))
    await asyncio.sleep(_BACK_OFF_SECONDS)
