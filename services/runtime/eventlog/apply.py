"""Bring the log's topics in line with the registry, or say where they differ."""

from collections.abc import Sequence
from typing import NamedTuple

from services.contracts.errors import Fatal
from services.contracts.topics import Topic, partitions_of
from services.runtime.eventlog.port import EventLog


class TopicState(NamedTuple):
    """A topic as the registry wants it and as the log has it (`found` is None where it is missing)."""

    name: str
    wanted: int
    found: int | None

    @property
    def is_as_wanted(self) -> bool:
        """Say whether the counts agree; a topic is never grown or shrunk by us, since records would change their partition."""
        return self.wanted == self.found


async def apply_topics(log: EventLog, topics: Sequence[Topic]) -> Sequence[TopicState]:
    """Create what is missing and return every topic's state; harmless twice. Raises `LogUnavailable`."""
    found = await log.ensure_topics(partitions_of(topics))
    return [TopicState(topic.name, topic.partitions, found.get(topic.name)) for topic in topics]


def missing_topics(topics: Sequence[Topic]) -> Sequence[TopicState]:
    """Return the states of a log that was never opened: nothing is there."""
    return [TopicState(topic.name, topic.partitions, None) for topic in topics]


async def check_topics(log: EventLog, topics: Sequence[Topic]) -> Sequence[TopicState]:
    """Return every topic's state, changing nothing. Raises `LogUnavailable`."""
    return [TopicState(topic.name, topic.partitions, await _count(log, topic.name)) for topic in topics]


async def _count(log: EventLog, name: str) -> int | None:
    try:
        return await log.partitions(name)
    except Fatal:
        return None
