"""Where Kafka's topics and partitions begin and end, asked over connections of their own."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from aiokafka.admin import NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from services.contracts.errors import Fatal, LogUnavailable
from services.runtime.eventlog.kafka_connections import Connections
from services.runtime.eventlog.kafka_errors import FOREIGN, stopped, unavailable, within
from services.runtime.eventlog.kafka_records import foreign, ours
from services.runtime.eventlog.port import TopicPartition

_START = timedelta(seconds=10)
_LOOK = timedelta(seconds=2)
_CREATE = timedelta(seconds=20)


class Ends:
    """Questions about topics; every answer in bounded time, else `LogUnavailable`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._lookup: Any = None
        self._admin: Any = None
        self._counts: dict[str, int] = {}
        self._counting = asyncio.Lock()

    async def start(self) -> None:
        """Connect; raises `LogUnavailable`."""
        self._lookup, self._admin = self._connections.lookup(), self._connections.admin()
        try:
            await within(_START, asyncio.gather(self._lookup.start(), self._admin.start()), "connecting")
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnect."""
        lookup, admin = self._lookup, self._admin
        self._lookup = self._admin = None
        if lookup is not None:
            await stopped(lookup.stop(), 5)
            await stopped(admin.close(), 5)

    async def ends(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset after the last record that can be read now, of each."""
        found = await within(_LOOK, self._open(self._lookup).end_offsets([foreign(at) for at in partitions]), "looking up ends")
        return {ours(at): end for at, end in found.items()}

    async def bounds(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """Return the first offset and the end of each."""
        wanted = [foreign(at) for at in partitions]
        firsts = await within(_LOOK, self._open(self._lookup).beginning_offsets(wanted), "looking up beginnings")
        ends = await self.ends(partitions)
        return {ours(at): (first, ends[ours(at)]) for at, first in firsts.items()}

    async def count(self, topic: str) -> int:
        """Return a topic's number of partitions, remembered once known; raises `Fatal` where there is no such topic."""
        if topic not in self._counts:
            async with self._counting:  # whoever comes first asks, for all who wait: there may be many at a start
                if topic not in self._counts:
                    self._counts.update(await self.counts())
        if (count := self._counts.get(topic)) is None:
            raise Fatal(f"there is no topic {topic!r} on {self._connections.bootstrap}: `povod topics apply` creates ours")
        return count

    async def counts(self) -> Mapping[str, int]:
        """Return every topic's number of partitions."""
        topics = await within(_LOOK, self._open(self._admin).describe_topics(), "asking for topics")
        return {topic["topic"]: len(topic["partitions"]) for topic in topics}

    async def create(self, topics: Mapping[str, int], settings: Mapping[str, Mapping[str, str]]) -> None:
        """Create topics, with the cluster's default replication; existing ones are left alone. Returns when all can be written."""
        wanted = [NewTopic(name, count, -1, {}, dict(settings.get(name, {}))) for name, count in topics.items()]
        answer = await within(_CREATE, self._open(self._admin).create_topics(wanted, timeout_ms=10_000), "creating topics")
        for name, code, *_ in answer.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise unavailable(f"creating {name}", error())
        await within(_CREATE, self._wait_for(topics), "waiting for new topics")

    async def is_reachable(self) -> bool:
        """Say whether a broker answers within a second."""
        try:
            await within(timedelta(milliseconds=800), self._open(self._admin).describe_topics(), "asking for topics")
        except LogUnavailable:
            return False
        return True

    async def _wait_for(self, topics: Mapping[str, int]) -> None:
        while True:
            try:
                described = await self._admin.describe_topics()
            except FOREIGN:
                described = []
            ready = {topic["topic"]: len(topic["partitions"]) for topic in described if _has_leaders(topic["partitions"])}
            if ready.keys() >= topics.keys():
                break
            await asyncio.sleep(0.05)
        # A leader is named before it knows that it is one, and refuses records until then: it is asked for something only a leader answers.
        await self._lookup.end_offsets([foreign(TopicPartition(name, number)) for name in topics for number in range(ready[name])])

    @staticmethod
    def _open(client: Any) -> Any:
        if client is None:
            raise LogUnavailable("the event log is not open")
        return client


def _has_leaders(partitions: Sequence[Mapping[str, int]]) -> bool:
    return bool(partitions) and all(partition["leader"] >= 0 for partition in partitions)
