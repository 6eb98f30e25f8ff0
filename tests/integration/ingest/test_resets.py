"""Connections that are reset while their requests wait for the log, on the event loop that the commands run on."""

import asyncio
import socket
import struct
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.runtime.clock import FrozenClock
from tests.integration.ingest.door import open_door, until
from tests.integration.ingest.raw import keyed


async def _reset_while_waiting(folder: Path, sqlite_url: str, clock: FrozenClock) -> int:
    """Have two requests of one packet wait for a stuck disk, and be gone when it moves; return how many events were stored."""
    async with open_door(folder, sqlite_url, clock) as door:
        request = keyed(door, b'{"type": "a", "customer": "1"}', "/v1/events?x=1")
        async with door.stuck_disk():
            _, writer = await asyncio.open_connection("127.0.0.1", door.server.port)
            writer.write(request * 2)
            await until(lambda: door.in_flight() > 0)
            reset = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            writer.transport.abort()
            await until(lambda: not door.server.server_state.connections)
        await until(lambda: door.in_flight() == 0)
        return len(await door.events())


def test_nobody_is_answered_and_nothing_fails(tmp_path: Path, sqlite_url: str, frozen_clock: FrozenClock) -> None:
    """The request that waited is stored as it would have been; that nobody hears the answer is no mistake of ours."""
    uvloop = pytest.importorskip("uvloop")
    with capture_logs() as lines:
        stored = uvloop.run(_reset_while_waiting(tmp_path, sqlite_url, frozen_clock))
    assert (stored, [line for line in lines if line["action"] == "ingest.failed"]) == (1, [])
