"""`/livez`, `/readyz` and `/metrics` for processes without an HTTP server of their own: GET only, one request a connection."""

import asyncio
import json
from typing import NamedTuple

from services.contracts.errors import InvalidSettings
from services.runtime.health import HealthState
from services.runtime.telemetry.metrics import CONTENT_TYPE, Metrics

LONGEST_HEAD = 8_192
DEADLINE_SECONDS = 5.0
MOST_CONNECTIONS = 64
_JSON = "application/json"


class Reply(NamedTuple):
    """Status line, content type and body of an answer."""

    status: str
    content_type: str
    body: bytes


class HealthServer:
    """Listens on `host` and `port` (0: any free one; see `port` after `started`)."""

    def __init__(self, health: HealthState, metrics: Metrics, host: str, port: int) -> None:
        self._health = health
        self._metrics = metrics
        self._host = host
        self.port = port
        self.started = asyncio.Event()
        self._open = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Answer until told to stop. Raises `InvalidSettings` where it can't listen there."""
        try:
            server = await asyncio.start_server(self._serve, self._host, self.port, limit=LONGEST_HEAD)
        except OSError as error:
            raise InvalidSettings(
                f"[telemetry] metrics_host and metrics_port (POVOD_TELEMETRY__METRICS_PORT): can't listen on {self._host}:{self.port}:"
                f" {error.strerror or error}; choose another"
            ) from error
        self.port = server.sockets[0].getsockname()[1]
        self.started.set()
        async with server:
            await stop.wait()

    async def reply(self, path: str) -> Reply:
        """Return the answer of one path; `/readyz` is 503 where no work should come."""
        if path == "/livez":
            return Reply("200 OK", _JSON, b'{"alive": true}')
        if path == "/metrics":
            return Reply("200 OK", CONTENT_TYPE, self._metrics.render())
        if path == "/readyz":
            ready = await self._health.readiness()
            body = {"ready": ready.is_ready, "checks": ready.checks, "draining": ready.draining}
            return Reply("200 OK" if ready.is_ready else "503 Service Unavailable", _JSON, json.dumps(body).encode())
        return Reply("404 Not Found", _JSON, b'{"message": "there are /livez, /readyz and /metrics"}')

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= MOST_CONNECTIONS:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    await self._answer(reader, writer)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()  # a client that is slow, gone or talks too much is worth no answer
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, _, rest = head.decode("latin-1").partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        wrong = Reply("405 Method Not Allowed", _JSON, b'{"message": "only GET"}')
        found = await self.reply(path) if method == "GET" else wrong
        lines = (f"HTTP/1.1 {found.status}", f"Content-Type: {found.content_type}", f"Content-Length: {len(found.body)}")
        writer.write("\r\n".join((*lines, "Connection: close\r\n\r\n")).encode("latin-1") + found.body)
        await writer.drain()
