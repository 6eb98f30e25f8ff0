"""The running service and a visitor's browser as fixtures."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.runtime.clock import FrozenClock
from tests.clients.browsing import Browser, open_browser
from tests.clients.installing import missing
from tests.integration.ingest.door import Door, open_door
from tests.lacking import go_without


@pytest.fixture
async def door(tmp_path: Path, sqlite_url: str, frozen_clock: FrozenClock) -> AsyncIterator[Door]:
    """Return a running ingest service with its usual settings."""
    async with open_door(tmp_path, sqlite_url, frozen_clock) as opened:
        yield opened


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Return a visitor's browser; skip without a Chromium on a laptop, fail in CI."""
    if why := missing("browser"):
        go_without(why)
    async with open_browser() as opened:
        yield opened
        assert await opened.complaints() == []
