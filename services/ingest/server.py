"""The HTTP server: uvicorn inside a running event loop, with bounds on everything a stranger may hold."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import uvicorn

from services.contracts.errors import InvalidSettings
from services.ingest.connections import most_connections
from services.ingest.protocol import CLOSE, GuardedProtocol
from services.runtime.memory import spare_memory_work
from services.runtime.settings import IngestSettings

KEEP_ALIVE = timedelta(seconds=5)
REQUEST_DEADLINE = timedelta(seconds=15)
"""Time in which a request must be whole, from its first byte or the connection's begin; longer than the door's own, which answers."""
SHUTDOWN = timedelta(seconds=10)
_BACKLOG = 2_048
_SWEEP_TICKS = 5
"""Uvicorn ticks ten times a second."""


class IngestServer(uvicorn.Server):
    """A server bound to its address from the start; `port` is the real one where port 0 was asked for.

    `leave_for` is how long it goes on taking requests after it was told to stop, closing each connection after its answer: so clients
    and balancers find another one, and none meets a connection that is closed while it writes.
    """

    def __init__(self, config: uvicorn.Config, listener: socket.socket, request_deadline: timedelta, leave_for: timedelta) -> None:
        super().__init__(config)
        self._listener = listener
        self._request_deadline = request_deadline.total_seconds()
        self._leave_for = leave_for.total_seconds()
        self.port: int = listener.getsockname()[1]

    async def run(self, stop: asyncio.Event) -> None:  # type: ignore[override]  # ours runs as a service in a running loop
        """Serve until `stop` is set, and for as long as leaving takes; then answer what has begun, within `SHUTDOWN`."""
        spare_memory_work()
        serving = asyncio.create_task(self.serve([self._listener]))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if self._leave_for:
                self.config.encoded_headers.append(CLOSE)
                self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]
                await asyncio.wait({serving}, timeout=self._leave_for)
            self.should_exit = True
            await serving
        finally:
            stopping.cancel()
            serving.cancel()
            self._listener.close()  # uvicorn does so too, unless it is cancelled

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Close connections whose request is overdue, whose client reads no answers or is silent, then do what uvicorn does."""
        if counter % _SWEEP_TICKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, GuardedProtocol):
                    self._sweep(connection, now)
        return await super().on_tick(counter)

    def _sweep(self, connection: GuardedProtocol, now: float) -> None:
        if connection.is_stalled(now, self._request_deadline):
            connection.transport.abort()
        elif connection.is_overdue(now, self._request_deadline):
            connection.refuse(HTTPStatus.REQUEST_TIMEOUT)
        elif connection.is_idle(now, self.config.timeout_keep_alive):
            connection.transport.close()


def make_server(app: Any, settings: IngestSettings, *, request_deadline: timedelta = REQUEST_DEADLINE) -> IngestServer:
    """Return a server for an ASGI application, bound but not yet serving. Raises `InvalidSettings` where it can't listen there."""
    config = uvicorn.Config(
        app,
        http=GuardedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=most_connections(),
        timeout_keep_alive=int(KEEP_ALIVE.total_seconds()),
        timeout_graceful_shutdown=int(SHUTDOWN.total_seconds()),
    )
    listener = _listen(settings.host, settings.port, share=settings.share_port)
    return IngestServer(config, listener, request_deadline, settings.leave_for)


def _listen(host: str, port: int, *, share: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG, reuse_port=share)
    except OSError as error:
        raise InvalidSettings(
            f"[ingest] host and port (POVOD_INGEST__PORT): can't listen on {host}:{port}: {error.strerror or error}; choose another"
        ) from error
