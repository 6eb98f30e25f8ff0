"""The event log on Kafka, by aiokafka: the real deployment's engine.

Its parts: `kafka_appender` packs and sends, `kafka_producers` keeps a producer that works, `kafka_reader` reads as a group's member,
`kafka_ends` knows topics and ends, `kafka_connections` holds every setting. Nothing of aiokafka crosses this folder's edge.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from datetime import timedelta

from services.contracts.errors import LogUnavailable
from services.runtime.clock import Clock
from services.runtime.eventlog.kafka_appender import KafkaAppender
from services.runtime.eventlog.kafka_connections import Connections
from services.runtime.eventlog.kafka_ends import Ends
from services.runtime.eventlog.kafka_overdue import Patience
from services.runtime.eventlog.kafka_reader import KafkaReader
from services.runtime.eventlog.port import EventLogReader, OutgoingRecord, PartitionListener, TopicPartition
from services.runtime.eventlog.records import place
from services.runtime.settings import LogSettings


class KafkaEventLog:
    """The event log on the Kafka named in the settings. Not to be shared between event loops."""

    def __init__(
        self,
        settings: LogSettings,
        clock: Clock,
        *,
        fetch_wait: timedelta = timedelta(milliseconds=100),
        topic_settings: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """`fetch_wait` is how long a broker may wait for records before it answers a fetch with none; it answers at once with some.

        `topic_settings` are Kafka's own, by topic (`retention.ms`), used when `ensure_topics` creates one.
        """
        self._connections = Connections(
            settings.bootstrap, settings.session_timeout, fetch_wait=fetch_wait, instance=settings.instance or None
        )
        self._clock = clock
        self._topic_settings = topic_settings or {}
        self._linger = settings.linger
        self._patience = patience_of(settings)
        self._ends = Ends(self._connections)
        self._appender: KafkaAppender | None = None
        self._partitions: dict[str, int] = {}
        self._readers: list[KafkaReader] = []

    async def start(self) -> None:
        """Connect; raises `LogUnavailable`."""
        await self._ends.start()
        appender = KafkaAppender(self._connections, self._linger, self._patience, self._ends.is_reachable)
        try:
            await appender.start()
        except BaseException:
            await self._ends.close()
            raise
        self._appender = appender

    def append(self, topic: str, records: Sequence[OutgoingRecord]) -> Awaitable[None]:
        """Return what is done once all in-sync replicas have the records."""
        if self._appender is None:
            raise LogUnavailable("the event log is not open")
        if not records or (partitions := self._partitions.get(topic)) is None:
            return self._append_first(topic, records)
        placed, weight = place(topic, records, partitions)
        return self._appender.append(topic, placed, weight)

    async def _append_first(self, topic: str, records: Sequence[OutgoingRecord]) -> None:
        """Learn the topic's partitions, then append."""
        if records:
            self._partitions[topic] = await self._ends.count(topic)
            await self.append(topic, records)

    def reader(self, group: str, topics: Sequence[str], listener: PartitionListener) -> EventLogReader:
        """Return a member of a consumer group."""
        reader = KafkaReader(self._connections, self._ends, self._clock, (group, tuple(topics)), listener)
        self._readers.append(reader)
        return reader

    async def partitions(self, topic: str) -> int:
        """Return the topic's number of partitions, as it was when first asked."""
        return await self._ends.count(topic)

    async def ensure_topics(self, topics: Mapping[str, int]) -> Mapping[str, int]:
        """Create what is missing, with the cluster's default replication."""
        known = await self._ends.counts()
        if missing := {name: count for name, count in topics.items() if name not in known}:
            await self._ends.create(missing, self._topic_settings)
            known = await self._ends.counts()
        return known

    async def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """Return the first offset and the end."""
        await self._ends.count(partition.topic)
        return (await self._ends.bounds([partition]))[partition]

    async def is_healthy(self) -> bool:
        """Say whether Kafka acknowledged within the last second, or answers now."""
        if self._appender is None:
            return False
        is_fresh = asyncio.get_running_loop().time() - self._appender.acknowledged_at < 1
        return is_fresh or await self._ends.is_reachable()

    async def close(self) -> None:
        """Let the readers leave, send what waits, disconnect."""
        appender, self._appender = self._appender, None
        if appender is not None:
            for reader in self._readers:
                await reader.close()
            await appender.close()
            await self._ends.close()


def patience_of(settings: LogSettings) -> Patience:
    """Return how long appends may wait; being slow is never allowed less time than being silent."""
    silent = settings.ack_timeout.total_seconds()
    return Patience(silent, max(silent, settings.slow_timeout.total_seconds()))
