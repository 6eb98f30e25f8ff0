"""Retention of the embedded log: drops what is older than its topic keeps and what its owner has worked off. Kafka does this by itself.

A record goes only if both hold: it was appended longer ago than the topic's `retention` (`schemas/topics`), and it lies below the
partition's cursor. A dead letters' topic has no owner that reads it, so age alone counts there; any other partition without a cursor
keeps everything, for somebody will read it yet. The file's pages are used again, the file itself does not shrink.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import structlog

from services.contracts.errors import Retryable
from services.contracts.topics import DEAD_LETTERS, Topic
from services.runtime import cursors
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.eventlog.port import TopicPartition

EVERY = timedelta(hours=1)
_log = structlog.get_logger()


class Retention:
    """Trims the log that its own process has open; one a process."""

    def __init__(
        self, log: EmbeddedEventLog, database: Database, clock: Clock, topics: Sequence[Topic], *, every: timedelta = EVERY
    ) -> None:
        self._log = log
        self._database = database
        self._clock = clock
        self._topics = topics
        self._every = every.total_seconds()

    async def run(self, stop: asyncio.Event) -> None:
        """Trim at once and then every hour (real time) until `stop` is set; what fails is tried again an hour later."""
        while not stop.is_set():
            try:
                await self.trim()
            except Retryable as error:
                _log.warning("old records stay for now", action="log.trim_delayed", error=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._every)

    async def trim(self) -> int:
        """Drop what may go and return how many records that were. Raises `LogUnavailable` or `DatabaseUnavailable`."""
        async with self._database.reading() as connection:
            done = await cursors.offsets(connection)
        dropped = sum([await self._trim_topic(topic, done) for topic in self._topics])
        if dropped:
            _log.info("old records dropped", action="log.trimmed", records=dropped)
        return dropped

    async def _trim_topic(self, topic: Topic, done: Mapping[TopicPartition, int]) -> int:
        before = self._clock.now() - topic.retention
        partitions = [TopicPartition(topic.name, number) for number in range(await self._log.partitions(topic.name))]
        return sum([await self._log.trim_older(each, await self._below(each, done), before) for each in partitions])

    async def _below(self, partition: TopicPartition, done: Mapping[TopicPartition, int]) -> int:
        """Return the offset below which nobody will read any more."""
        first, end = await self._log.bounds(partition)
        return done.get(partition, end if partition.topic.endswith(DEAD_LETTERS) else first)
