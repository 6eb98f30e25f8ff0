"""Event logs for tests: the embedded one, and Kafka where there is one (`POVOD_TEST_KAFKA`, see `deploy/local`)."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest

from services.runtime.clock import Clock, SystemClock
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.eventlog.port import EventLog, TopicPartition


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


@pytest.fixture(params=["embedded"])
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
