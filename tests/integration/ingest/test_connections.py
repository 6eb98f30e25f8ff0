"""More connections than there is room for: they take nobody's place in database or log, and hold up nobody for good."""

import asyncio

import pytest

from services.ingest.connections import MAX_CONNECTIONS, closed_beyond, room_in
from tests.integration.ingest.door import Door, until

EVENT = b'{"type": "a", "customer": "1"}'


@pytest.mark.parametrize(
    ("files", "room"), [(100, 25), (256, 64), (1_024, 614), (4_096, 3_072), (19_006, MAX_CONNECTIONS), (10**6, MAX_CONNECTIONS)]
)
def test_connections_leave_files_for_the_rest(files: int, room: int) -> None:
    """Of the files that a process may have open, enough are left for what is no connection."""
    assert room_in(files) == room
    assert files - closed_beyond(room) >= min(256, files // 2)


async def test_connections_beyond_the_room_are_refused_then_closed(door: Door) -> None:
    """Silent connections take the places; who comes then is told 503, a crowd beyond that is closed; once they are gone all is well."""
    door.server.config.limit_concurrency = 8
    crowd = [await asyncio.open_connection("127.0.0.1", door.server.port) for _ in range(9)]
    refused = await door.post(EVENT)
    assert refused.status_code == 503
    crowd += [await asyncio.open_connection("127.0.0.1", door.server.port) for _ in range(20)]
    await until(lambda: len(door.server.server_state.connections) <= closed_beyond(8))
    for _, writer in crowd:
        writer.close()
    await until(lambda: len(door.server.server_state.connections) < 8)
    assert (await door.post(EVENT)).status_code == 200
