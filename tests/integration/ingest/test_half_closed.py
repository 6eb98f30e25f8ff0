"""Clients that shut their side of the connection once they have asked, and wait for the answer (`nc -N` and its kin)."""

import asyncio

import pytest

from tests.integration.ingest.door import Door, until
from tests.integration.ingest.raw import named


async def _said(door: Door, packet: bytes) -> bytes:
    """Send all, shut down, return all that comes until the other side has closed."""
    async with door.connected() as (reader, writer), asyncio.timeout(20):
        writer.write(packet)
        writer.write_eof()
        return await reader.read()


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events?x=1"])
async def test_who_has_said_all_is_answered(door: Door, path: str) -> None:
    """Each request that was whole is answered in order, by whichever way, then the connection is closed."""
    answers = await _said(door, named(door, "one", path) + named(door, "two", "/v1/events") + named(door, "three", path))
    assert [answers.count(b'"%s"' % name) for name in (b"one", b"two", b"three")] == [1, 1, 1]
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    await until(lambda: not door.server.server_state.connections)


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events?x=1"])
async def test_who_stops_in_the_middle_is_let_go(door: Door, path: str) -> None:
    """Half a request, or none, is no reason to keep a connection: nothing is answered, stored or held."""
    assert await _said(door, named(door, "half", path)[:-5]) == b""
    assert await _said(door, b"") == b""
    await until(lambda: not door.server.server_state.connections)
    assert (await door.events(), door.in_flight()) == ([], 0)
