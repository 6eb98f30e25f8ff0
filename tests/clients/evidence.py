"""What Povod knows after the clients have spoken: the topic, the history, the customers, the dead letters."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer
from sqlalchemy import text

from services.rules.packing import unpack
from services.runtime.database import Database

TOPIC = "povod.events"
_HISTORY = text("SELECT payload FROM history WHERE kind = 'event'")
_CURSORS = text("SELECT partition, next_offset FROM cursors WHERE topic = :topic")
_CUSTOMERS = text("SELECT customer, document FROM customers")
Marked = tuple[str, str]
"""For whom an event was sent, and its mark."""


class Evidence(NamedTuple):
    """Everything at the end. `records` counts what lies on the topic, `history` holds every input that was decided."""

    records: Counter[Marked]
    merges: set[tuple[str, str]]
    history: dict[Marked, list[dict[str, Any]]]
    documents: dict[str, dict[str, Any]]
    dead: list[str]

    def times(self, marked: Marked) -> list[datetime]:
        """Return when an event happened, once for every time it was decided."""
        return [datetime.fromisoformat(event["time"]) for event in self.history.get(marked, [])]


async def gather(bootstrap: str, database: Database) -> Evidence:
    """Read everything."""
    records: Counter[Marked] = Counter()
    merges: set[tuple[str, str]] = set()
    for value in await read_all(bootstrap, TOPIC):
        event = msgspec.json.decode(value)
        records[_marked(event)] += 1
        if event["type"] == "povod.merge":
            merges.add((event["subject"], event["data"]["into"]))
    dead = [value.decode("utf-8", "replace") for value in await read_all(bootstrap, f"{TOPIC}.dlq")]
    async with database.reading() as connection:
        documents = {row.customer: msgspec.json.decode(unpack(row.document)) for row in await connection.execute(_CUSTOMERS)}
    return Evidence(records, merges, await decided(database), documents, dead)


async def decided(database: Database) -> dict[Marked, list[dict[str, Any]]]:
    """Return every event in the history, by the customer it was sent for and its mark."""
    found = defaultdict(list)
    async with database.reading() as connection:
        rows = (await connection.execute(_HISTORY)).all()
    for row in rows:
        event = msgspec.json.decode(row.payload)
        found[_marked(event)].append(event)
    return dict(found)


async def is_all_read(bootstrap: str, database: Database) -> bool:
    """Say whether rules has decided everything that lies on the topic."""
    async with database.reading() as connection:
        cursors = {row.partition: row.next_offset for row in await connection.execute(_CURSORS, {"topic": TOPIC})}
    async with _reader(bootstrap, TOPIC) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
    return all(cursors.get(partition.partition, 0) >= end for partition, end in ends.items())


async def read_all(bootstrap: str, topic: str) -> list[bytes]:
    """Return the values of all records of a topic."""
    async with _reader(bootstrap, topic) as consumer:
        partitions = consumer.assignment()
        ends = await consumer.end_offsets(partitions)
        values: list[bytes] = []
        while [p for p in partitions if await consumer.position(p) < ends[p]]:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                values += [record.value for record in records]
        return values


@asynccontextmanager
async def _reader(bootstrap: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Yield a consumer that has every partition of the topic, at its beginning; it belongs to no group."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        assert consumer.assignment(), f"{topic} has no partitions"
        yield consumer
    finally:
        await consumer.stop()


def _marked(event: dict[str, Any]) -> Marked:
    """Return for whom an event was sent: one for a visitor who has become a customer meanwhile names him as `via`."""
    return event.get("via", event["subject"]), str(event["data"].get("mark"))
