"""Event logs for tests: the embedded one, and Kafka where there is one (`POVOD_TEST_KAFKA`, see `deploy/local`)."""

import os
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from services.runtime.clock import Clock, SystemClock
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.eventlog.kafka import KafkaEventLog
from services.runtime.eventlog.kafka_records import foreign
from services.runtime.eventlog.port import EventLog, TopicPartition
from services.runtime.settings import LogSettings
from tests.lacking import go_without


class Logs(Protocol):
    """One place where records lie, and how to open it again: what a law needs beyond the port."""

    async def open(self, clock: Clock | None = None) -> EventLog:
        """Return a started log; the one opened before should be closed where the adapter allows one owner only."""

    async def trim(self, partition: TopicPartition, before: int) -> None:
        """Delete what lies below an offset, as retention would."""

    async def close(self) -> None:
        """Close whatever was opened."""


class EmbeddedLogs:
    """Embedded logs in one file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "log.db"
        self._opened: list[EmbeddedEventLog] = []

    async def open(self, clock: Clock | None = None) -> EventLog:
        """Open the file."""
        log = EmbeddedEventLog(self.path, {}, clock or SystemClock())
        self._opened.append(log)
        await log.start()
        return log

    async def trim(self, partition: TopicPartition, before: int) -> None:
        """Trim through the log that is open."""
        await self._opened[-1].trim(partition, before)

    async def close(self) -> None:
        """Close all."""
        for log in self._opened:
            await log.close()


@pytest.fixture
async def embedded_logs(tmp_path: Path) -> AsyncIterator[EmbeddedLogs]:
    """Return where embedded logs are opened."""
    logs = EmbeddedLogs(tmp_path)
    yield logs
    await logs.close()


class KafkaLogs:
    """Logs on one Kafka; topics are told apart by name."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._opened: list[KafkaEventLog] = []

    async def open(self, clock: Clock | None = None) -> EventLog:
        """Connect."""
        settings = LogSettings(kind="kafka", bootstrap=self.bootstrap, ack_timeout=timedelta(seconds=5))
        log = KafkaEventLog(settings, clock or SystemClock(), fetch_wait=timedelta(milliseconds=50))
        self._opened.append(log)
        await log.start()
        return log

    async def trim(self, partition: TopicPartition, before: int) -> None:
        """Delete records as retention would."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await admin.delete_records({foreign(partition): RecordsToDelete(before_offset=before)})
        finally:
            await admin.close()

    async def close(self) -> None:
        """Close all."""
        for log in self._opened:
            await log.close()


@pytest.fixture(scope="session")
def kafka_bootstrap() -> str:
    """Return the address of a real Kafka; skip without one on a laptop, fail in CI."""
    return os.environ.get("POVOD_TEST_KAFKA") or go_without("no Kafka: set POVOD_TEST_KAFKA, or run `make test` where Java and Maven are")


@pytest.fixture(scope="session")
def own_kafka(kafka_bootstrap: str) -> None:
    """Let those tests pass that kill a broker of their own; skip them on a laptop without Java and Maven, fail in CI."""
    if shutil.which("java") is None or shutil.which("mvn") is None:
        go_without("no Java or no Maven: a broker that may be killed can't be started")


@pytest.fixture
async def kafka_logs(kafka_bootstrap: str) -> AsyncIterator[KafkaLogs]:
    """Return where logs on Kafka are opened."""
    logs = KafkaLogs(kafka_bootstrap)
    yield logs
    await logs.close()


@pytest.fixture
async def kafka_log(kafka_logs: KafkaLogs) -> EventLog:
    """Return a started log on Kafka."""
    return await kafka_logs.open()


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def logs(request: pytest.FixtureRequest) -> Logs:
    """Return a place for logs, each adapter."""
    found: Logs = request.getfixturevalue(f"{request.param}_logs")
    return found


@pytest.fixture
async def event_log(logs: Logs) -> EventLog:
    """Return a started, empty log, each adapter."""
    return await logs.open()


@pytest.fixture
async def embedded_log(embedded_logs: EmbeddedLogs) -> EventLog:
    """Return a started, empty embedded log."""
    return await embedded_logs.open()


@pytest.fixture
def topic() -> str:
    """Return a topic name that no other test uses; the test makes the topic (`ensure_topics`)."""
    return f"test.{uuid4().hex}"


@pytest.fixture
def group() -> str:
    """Return a consumer group name that no other test uses."""
    return f"test-{uuid4().hex}"


SOON = timedelta(seconds=20)
"""How long a test waits (real time) for what must come; generous, since a waiting test costs nothing."""
