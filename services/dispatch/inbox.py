"""The inbox: the dispatch topic becomes rows of the journal, each message once; another topic may be taken by the same steps.

One transaction a batch and partition: 1. move the cursor (the fence), 2. write what the records say: messages by primary key, so that
repeats vanish, then recalls, 3. dead-letter what can't be decoded, 4. commit; then whoever waits is woken.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts import codec
from services.contracts.errors import DatabaseRefused, DatabaseUnavailable, Fenced, InvalidCommand, LogUnavailable, Rejected
from services.contracts.messages import Command, Message, Recall
from services.contracts.moments import to_micros
from services.contracts.topics import DISPATCH
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

_BATCH = 1_000
_POLL = timedelta(milliseconds=500)
_BACK_OFF_SECONDS = 0.5
_log = structlog.get_logger()


class Taken(NamedTuple):
    """A batch, decoded."""

    messages: Mapping[str, Message]
    recalls: Mapping[str, Recall]
    broken: Sequence[tuple[Record, InvalidCommand]]


class Reading(Protocol):
    """What a topic's records mean: the part of an inbox that differs. `topic` is its name, and that of its readers' group."""

    topic: str

    def decode(self, records: Sequence[Record]) -> "Decoded":
        """Return what the records say, and those that say nothing."""

    async def write(self, connection: AsyncConnection, said: Any, now: datetime) -> None:
        """Write what `decode` found in the inbox's transaction. Harmless twice."""


class Decoded(NamedTuple):
    """A batch, decoded: what `Reading.write` takes, and the records that can't be used, each with the reason."""

    said: Any
    broken: Sequence[tuple[Record, Rejected]]


class Commands:
    """The dispatch topic: messages and recalls."""

    topic = DISPATCH

    def decode(self, records: Sequence[Record]) -> Decoded:
        """Return messages and recalls."""
        taken = decode(records)
        return Decoded(taken, taken.broken)

    async def write(self, connection: AsyncConnection, said: Taken, now: datetime) -> None:
        """Insert messages, take recalls."""
        await _store_messages(connection, said.messages, now)
        await _store_recalls(connection, said.recalls, now)


class Inbox:
    """The consumer of a topic for one worker. `wake` is called after every commit that brought something.

    More dead letters than `limit` allows on one partition stop it. `reading` is the dispatch topic's unless another is given.
    """

    def __init__(  # noqa: PLR0913 - a composition root passes every collaborator
        self, log: EventLog, database: Database, clock: Clock, worker: str, wake: Callable[[], None], limit: DeadLetterLimit,
        *, reading: Reading | None = None,
    ) -> None:  # fmt: skip
        self._log = log
        self._database = database
        self._clock = clock
        self._worker = worker
        self._wake = wake
        self._limit = limit
        self._reading: Reading = reading or Commands()
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
        reader = self._log.reader(self._reading.topic, [self._reading.topic], self)
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
        said, broken = self._reading.decode(batch.records) if refused is None else Decoded(None, [(batch.records[0], refused)])
        count = self._given_up[cursor.partition]
        count.admit(len(broken), now)
        async with self._database.transaction() as connection:
            await cursors.advance(connection, cursor, moved)
            if said is not None:
                await self._reading.write(connection, said, now)
            await dead_letters.put(connection, [DeadLetter(record, error.code, error.message, now) for record, error in broken])
        self._cursors[cursor.partition] = moved
        count.note(len(broken), now)


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


async def _back_off(action: str, error: Exception) -> None:
    _log.warning("trying again", action=action, error=str(error))
    await asyncio.sleep(_BACK_OFF_SECONDS)
