"""Producers that write CloudEvents to the events topic themselves, on a real Kafka: all are decided or have their dead letter."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from services.commands.draining import Drain
from services.contracts.partitioning import partition_of
from services.contracts.topics import load_topics, partitions_of
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.eventlog.port import EventLog
from tests.clients import installing
from tests.docs.blocks import blocks
from tests.fixtures_log import KafkaLogs
from tests.lacking import go_without
from tests.live import remove_topics
from tests.rules_desk import EVENTS, Desk, opened_desk

MAKER = Path(__file__).parents[1] / "clients" / "python" / "make_cloudevents.py"
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.fixture
async def kafka(kafka_logs: KafkaLogs) -> EventLog:
    """Return a log on Kafka with Povod's topics, all empty."""
    await remove_topics(kafka_logs.bootstrap)
    log = await kafka_logs.open()
    await log.ensure_topics(partitions_of(load_topics()))
    return log


@pytest.fixture
async def producer(kafka_bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    """Return a plain producer: its own partitioner, its own headers."""
    found = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap)
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
async def desk(tmp_path: Path, sqlite_database: Database) -> AsyncIterator[Desk]:
    """Return a database with active rules; the log beside it is not used."""
    async with opened_desk(tmp_path, sqlite_database, SystemClock().now()) as found:
        yield found


async def decide(desk: Desk, kafka: EventLog) -> None:
    """Run the rules on Kafka until everything in the topic is dealt with."""
    async with desk.running(desk.service(log=kafka)), asyncio.timeout(60):
        await Drain(desk.database, kafka, [EVENTS]).wait(desk.clock.now(), poll_seconds=0.05)


def order(number: int, **more: Any) -> dict[str, Any]:
    """Return a CloudEvent of a till, with what the standard asks for and no more."""
    return {"specversion": "1.0", "id": f"o{number}", "source": "/till", "type": "order.completed", "subject": f"c{number}", **more}


async def test_a_plain_producer(desk: Desk, kafka: EventLog, producer: AIOKafkaProducer) -> None:
    """Keyed by the customer, its records lie where ours would; a repeat is a no-op, bad ones are explained."""
    headers = [("content-type", b"application/cloudevents+json")]
    for number in range(20):
        value = json.dumps({**order(number), "data": {"order_id": f"o{number}"}}).encode()
        sent = await producer.send_and_wait(EVENTS, value, key=f"c{number}".encode(), headers=headers)
        assert sent.partition == partition_of(f"c{number}", 8)
    await producer.send_and_wait(EVENTS, value, key=b"c19", headers=headers)
    await producer.send_and_wait(EVENTS, json.dumps(order(20)).encode(), key=None)
    for bad in (b"no json", b"", json.dumps(order(21, subject=None)).encode(), json.dumps(order(22, time="soon")).encode()):
        await producer.send_and_wait(EVENTS, bad, key=b"c1")
    await decide(desk, kafka)
    assert sorted(row.input_id for row in await desk.history() if row.kind == "event") == sorted(f"o{number}" for number in range(21))
    assert {row.customer for row in await desk.ledger() if row.journey == "thanks"} == {f"c{number}" for number in range(21)}
    dead = await desk.rows("SELECT reason, value FROM dead_letters ORDER BY record_offset")
    assert [row[0] for row in dead] == ["undecodable_event", "undecodable_event", "missing_subject", "invalid_time"]
    assert bytes(dead[0][1]) == b"no json"


async def test_the_librarys_binding(desk: Desk, kafka: EventLog, producer: AIOKafkaProducer) -> None:
    """What PyPI cloudevents makes, structured or binary, is the same event; what is no JSON object has its dead letter."""
    data = {"order_id": "1", "total": 500}
    made = await asyncio.to_thread(
        _made,
        [
            {"mode": "structured", "attributes": order(1), "data": data},
            {"mode": "binary", "attributes": order(2), "data": data},
            {"mode": "binary", "attributes": order(3, datacontenttype="text/plain"), "data": "hello"},
            {"mode": "structured", "attributes": order(4), "data": [1, 2]},
        ],
    )
    for message in made:
        headers = [(name, bytes.fromhex(value)) for name, value in message["headers"].items()]
        await producer.send_and_wait(EVENTS, bytes.fromhex(message["value"]), key=bytes.fromhex(message["key"]), headers=headers)
    await decide(desk, kafka)
    kept = {row[0]: json.loads(row[1]) for row in await desk.rows("SELECT customer, payload FROM history WHERE kind = 'event'")}
    assert {customer: (event["type"], event["source"], event["data"]) for customer, event in kept.items()} == {
        "c1": ("order.completed", "/till", data),
        "c2": ("order.completed", "/till", data),
    }
    assert sorted(row[0] for row in await desk.rows("SELECT reason FROM dead_letters")) == ["invalid_data", "unsupported_content"]


async def test_the_docs_producer(desk: Desk, kafka: EventLog, kafka_bootstrap: str) -> None:
    """The producer of `docs/kafka-events.md`, run as it stands there, has its event decided."""
    (block,) = [block for block in blocks("python") if block.what == "producer"]
    environment = {**os.environ, "KAFKA": kafka_bootstrap}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", block.body, env=environment)
    assert await process.wait() == 0
    await decide(desk, kafka)
    assert [(row.customer, row.input_id) for row in await desk.history()] == [("42", "o-1")]


def _made(orders: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Have the library, in an environment of its own, make these messages."""
    if why := installing.missing("family"):
        go_without(why)
    python = installing.python_of("family")
    lines = "".join(f"{json.dumps(each)}\n" for each in orders)
    printed = subprocess.run([str(python), str(MAKER)], input=lines, stdout=subprocess.PIPE, check=True, text=True).stdout
    return [json.loads(line) for line in printed.splitlines()]
