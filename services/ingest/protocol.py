"""Uvicorn's HTTP/1.1 protocol with what it lacks: a request must be whole in time, and its head may not grow for ever (slowloris)."""

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

ANSWER = "povod.answer"
"""The ASGI extension by which an application may answer with 200 and JSON at once: a function of the body, False where it can't."""
MAX_HEAD = 65_536
"""Bytes of request line and headers, beyond what one read from the socket may bring at once."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection; `is_overdue` is asked by the server's sweep."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting_since: float | None = None
        self._head_size: int | None = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own signature
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._waiting_since = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the keep-alive timer too: uvicorn forgets it after a reset, and it would hold the connection's memory."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._waiting_since = None

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless the head has grown too large."""
        if self._waiting_since is None:
            self._waiting_since = self.loop.time()
        if self._head_size is not None:
            self._head_size += len(data)
        super().data_received(data)
        if self._head_size is not None and self._head_size > MAX_HEAD:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        super().on_message_begin()
        self._waiting_since = self.loop.time()
        self._head_size = self._head_size or 0

    def on_headers_complete(self) -> None:
        """Note that its head is whole."""
        super().on_headers_complete()
        self._head_size = None
        self.scope["extensions"] = {ANSWER: partial(self.answer, self.cycle)}  # type: ignore[dict-item]  # a function, no parameters

    def on_message_complete(self) -> None:
        """Note that it is whole: from now on it is we who are waited for."""
        super().on_message_complete()
        self._waiting_since = None
        self._head_size = 0

    def answer(self, cycle: RequestResponseCycle, content: bytes) -> bool:
        """Answer a request with 200 and JSON in one write; says whether it could: where anything is unusual, `send` is to be used.

        Uvicorn's `send` writes head and body apart, which costs two system calls and a look at every header.
        """
        if cycle.response_started or cycle.disconnected or not cycle.keep_alive or self.flow.write_paused:
            return False
        head = [b"HTTP/1.1 200 OK\r\n", *(b"%b: %b\r\n" % header for header in self.server_state.default_headers)]
        self.transport.write(b"%bcontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (b"".join(head), len(content), content))
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()
        cycle.on_response()
        return True

    def is_overdue(self, now: float, seconds: float) -> bool:
        """Say whether the client has had longer than `seconds` for its request; `now` is the event loop's time."""
        return self._waiting_since is not None and now - self._waiting_since > seconds

    def refuse(self, status: HTTPStatus) -> None:
        """Answer with a bare status, unless an answer has begun, and close."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr]  # None before the first request
            line = f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            self.transport.write(line.encode())
        self.transport.close()
