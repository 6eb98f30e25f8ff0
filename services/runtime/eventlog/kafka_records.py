"""Between aiokafka's records and ours."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from aiokafka import TopicPartition as ForeignTopicPartition

from services.runtime.eventlog.port import Record, TopicPartition

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def foreign(partition: TopicPartition) -> Any:
    """Return aiokafka's name of a partition."""
    return ForeignTopicPartition(partition.topic, partition.partition)


def ours(partition: Any) -> TopicPartition:
    """Return our name of a partition."""
    return TopicPartition(partition.topic, partition.partition)


def to_record(found: Any) -> Record:
    """Return our record. Somebody else's nulls (a tombstone, an empty header) are empty bytes; `appended_at` is Kafka's timestamp."""
    headers = found.headers
    for _, value in headers:
        if value is None:
            headers = tuple((name, content or b"") for name, content in headers)
    return Record(found.topic, found.partition, found.offset, found.key, found.value or b"", headers, _moment(found.timestamp))


@lru_cache(maxsize=1024)
def _moment(millis: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=max(0, millis))
