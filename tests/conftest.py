"""Fixtures that many parts of the suite share; the longer ones live in the plugins named here."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog

from services.runtime.clock import FrozenClock
from services.runtime.telemetry.logs import redact, refuse_without_action

pytest_plugins = ["tests.fixtures_database", "tests.fixtures_log"]

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""Monday morning: where every frozen clock begins."""


@pytest.fixture(autouse=True)
def _strict_log_lines() -> Iterator[None]:
    """Refuse log lines without an action, whoever writes them; undo what a process composed inside a test has set up."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    structlog.reset_defaults()
    structlog.configure(
        processors=[structlog.processors.add_log_level, refuse_without_action, redact, structlog.processors.JSONRenderer(default=str)]
    )
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def frozen_clock() -> FrozenClock:
    """Return a clock that stands at `START`."""
    return FrozenClock(START)
