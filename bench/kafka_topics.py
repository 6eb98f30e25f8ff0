"""Topics of a benchmark: made, counted, removed."""

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

OURS = ("povod.", "bench.")


async def create_baseline_topic(kafka: str, like: str, name: str) -> None:
    """Create the topic `name` with as many partitions as `like` has."""
    partitions = await partition_count(kafka, like)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1)])
    finally:
        await admin.close()


async def remove_topics(kafka: str) -> None:
    """Remove every topic of Povod and of the baselines; returns when they are gone."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        if old := {topic for topic in await admin.list_topics() if topic.startswith(OURS)}:
            await admin.delete_topics(list(old))
        while old & set(await admin.list_topics()):  # noqa: ASYNC110 - Kafka tells nobody when they are gone
            await asyncio.sleep(0.1)
    finally:
        await admin.close()


async def records_in(kafka: str, topic: str) -> int:
    """Return how many records were ever appended to the topic: the sum of its partitions' ends."""
    partitions = [TopicPartition(topic, partition) for partition in range(await partition_count(kafka, topic))]
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        return sum((await consumer.end_offsets(partitions)).values())
    finally:
        await consumer.stop()


async def partition_count(kafka: str, topic: str) -> int:
    """Return the topic's number of partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        (described,) = await admin.describe_topics([topic])
        return len(described["partitions"])
    finally:
        await admin.close()


async def append(kafka: str, topic: str, records: Iterable[tuple[bytes, bytes]]) -> int:
    """Append records (key and value), each to its key's partition; return how many once all are acknowledged."""
    async with AIOKafkaProducer(bootstrap_servers=kafka, acks="all", linger_ms=5, max_batch_size=262_144) as producer:
        sent = [await producer.send(topic, value, key=key) for key, value in records]
        await asyncio.gather(*sent)
    return len(sent)
