"""The running service as a fixture."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.runtime.clock import FrozenClock
from tests.integration.ingest.door import Door, open_door


@pytest.fixture
async def door(tmp_path: Path, sqlite_url: str, frozen_clock: FrozenClock) -> AsyncIterator[Door]:
    """Return a running ingest service with its usual settings."""
    async with open_door(tmp_path, sqlite_url, frozen_clock) as opened:
        yield opened
