"""Health: checks with bounded patience, and the small server that answers them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple

import pytest
from prometheus_client import CollectorRegistry

from services.contracts.errors import InvalidSettings
from services.runtime.health import HealthState
from services.runtime.health_server import MOST_CONNECTIONS, HealthServer
from services.runtime.telemetry.metrics import PARTITION_LAG, Metrics


async def good() -> bool:
    """Answer yes."""
    return True


async def bad() -> bool:
    """Answer no."""
    return False


async def silent() -> bool:
    """Never answer."""
    return await asyncio.Event().wait()


async def raising() -> bool:
    """Break."""
    raise RuntimeError("broken check")


async def test_every_check_is_named_with_its_answer() -> None:
    """One failing check makes the process unready; one that hangs is cut off."""
    health = HealthState({"a": good, "b": bad, "c": silent, "d": raising}, patience=timedelta(milliseconds=20))
    assert await health.readiness() == (False, {"a": "ok", "b": "failing", "c": "silent", "d": "failing"}, False)


async def test_a_part_says_what_it_waits_for() -> None:
    """What a part waits for stands in the answer, and the process is unready until it waits for nothing."""
    reasons: list[str | None] = ["no rule set is active yet", None]
    health = HealthState({"a": good})
    health.wait_for("rules", lambda: reasons.pop(0))
    assert await health.readiness() == (False, {"a": "ok", "rules": "no rule set is active yet"}, False)
    assert await health.readiness() == (True, {"a": "ok", "rules": "ok"}, False)


async def test_ready_until_draining() -> None:
    """Healthy checks are not enough once the process drains."""
    health = HealthState({"a": good})
    assert (await health.readiness()).is_ready
    health.start_draining()
    assert await health.readiness() == (False, {"a": "ok"}, True)


class Served(NamedTuple):
    """A running server and what it tells of."""

    server: HealthServer
    health: HealthState
    metrics: Metrics


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """Run a health server on a free port."""
    health, metrics, stop = HealthState({"log": good}), Metrics(CollectorRegistry()), asyncio.Event()
    server = HealthServer(health, metrics, "127.0.0.1", 0)
    task = asyncio.create_task(server.run(stop))
    await server.started.wait()
    yield Served(server, health, metrics)
    stop.set()
    await task


async def ask(port: int, request: bytes) -> tuple[str, bytes]:
    """Send bytes; return the status line and the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return head.split(b"\r\n")[0].decode(), body


async def test_answers_over_http(served: Served) -> None:
    """The three paths answer with status and body; others are 404, other methods 405."""
    served.metrics.set(PARTITION_LAG, 7, topic="povod.events", partition="0")
    port = served.server.port
    assert await ask(port, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n") == ("HTTP/1.1 200 OK", b'{"alive": true}')
    status, body = await ask(port, b"GET /readyz?verbose HTTP/1.1\r\n\r\n")
    assert (status, json.loads(body)) == ("HTTP/1.1 200 OK", {"ready": True, "checks": {"log": "ok"}, "draining": False})
    assert b'povod_partition_lag_records{partition="0",topic="povod.events"} 7.0' in (await ask(port, b"GET /metrics HTTP/1.0\r\n\r\n"))[1]
    assert (await ask(port, b"GET / HTTP/1.1\r\n\r\n"))[0] == "HTTP/1.1 404 Not Found"
    assert (await ask(port, b"POST /livez HTTP/1.1\r\n\r\n"))[0] == "HTTP/1.1 405 Method Not Allowed"


async def test_unready_is_503(served: Served) -> None:
    """A draining process answers 503 on /readyz and 200 on /livez."""
    served.health.start_draining()
    assert (await ask(served.server.port, b"GET /readyz HTTP/1.1\r\n\r\n"))[0] == "HTTP/1.1 503 Service Unavailable"
    assert (await ask(served.server.port, b"GET /livez HTTP/1.1\r\n\r\n"))[0] == "HTTP/1.1 200 OK"


async def test_too_long_a_head_is_cut_off(served: Served) -> None:
    """A head without end is not read to the end, and others are still answered."""
    answers = []
    with suppress(ConnectionError):
        answers.append(await ask(served.server.port, b"GET /livez HTTP/1.1\r\nX: " + b"x" * 100_000))
    assert answers in ([], [("", b"")])
    assert (await ask(served.server.port, b"GET /livez HTTP/1.1\r\n\r\n"))[0] == "HTTP/1.1 200 OK"


async def test_too_many_connections_are_closed_at_once(served: Served) -> None:
    """Idle connections beyond the limit get no answer; memory stays bounded."""
    idle = [await asyncio.open_connection("127.0.0.1", served.server.port) for _ in range(MOST_CONNECTIONS)]
    reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
    assert await asyncio.wait_for(reader.read(), 1) == b""
    for _, each in [*idle, (reader, writer)]:
        each.close()
        await each.wait_closed()


async def test_a_taken_port_names_its_setting() -> None:
    """A second process with the same port is told which setting to change."""
    taken = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with taken:
        port = taken.sockets[0].getsockname()[1]
        server = HealthServer(HealthState({}), Metrics(CollectorRegistry()), "127.0.0.1", port)
        with pytest.raises(InvalidSettings, match=f"POVOD_TELEMETRY__METRICS_PORT.*127.0.0.1:{port}"):
            await server.run(asyncio.Event())
