"""A Starlette application served on a real socket by uvicorn, on the running event loop."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette


class WebServer:
    """Serves one application until it is stopped."""

    def __init__(self, application: Starlette) -> None:
        config = uvicorn.Config(application, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
        self._server = _EmbeddedServer(config)
        self._serving: asyncio.Task[None] | None = None
        self._socket: socket.socket | None = None

    @property
    def port(self) -> int:
        """Return the bound port; only while it runs."""
        if self._socket is None:
            raise RuntimeError("the server is not started")
        port: int = self._socket.getsockname()[1]
        return port

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; return the bound port (0 asks for a free one). Requests are answered from now on."""
        self._socket = socket.create_server((host, port))
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        return self.port

    async def stop(self) -> None:
        """Stop within about a second, cutting off what still hangs. Harmless twice."""
        if self._serving is not None and self._socket is not None:
            self._server.should_exit = True
            await self._serving
            self._socket.close()
            self._serving = self._socket = None


class _EmbeddedServer(uvicorn.Server):
    """Leaves the process's signals to whoever owns the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
