"""Uvicorn's HTTP/1.1 protocol with what it lacks: a request must be whole in time, its head may not grow for ever (slowloris).

And one that comes whole in one read may be taken without ASGI between (`services.ingest.whole`).
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Protocol

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from services.ingest.connections import closed_beyond
from services.ingest.doors.port import Answer, Door
from services.ingest.whole import Headers, Reply

CLOSE = (b"connection", b"close")
"""Among the server's own headers once it is leaving."""
MAX_HEAD = 65_536
"""Bytes of a request that are no body (its head, the sizes of its chunks, its trailers), beyond what one read may bring at once."""
_FRAME = 8
"""Bytes around it that each byte of a body may have besides: a body may come in chunks of one byte."""


class TakesWholeRequests(Protocol):
    """What `app.whole` of an application may be; see `services.ingest.whole.WholeRequests`."""

    doors: Mapping[bytes, Door]

    def take(self, target: bytes, headers: Headers, body: bytes, reply: Reply) -> None:
        """Take a request; `reply` is called once."""


class _Unheard:
    """Stands where uvicorn keeps the event by which it wakes an application: here nobody sleeps."""

    def set(self) -> None:
        """Wake nobody."""


class _WholeRequest:
    """A request on the short way, as the protocol sees it: the attributes that uvicorn asks of a cycle, and the answer's way back."""

    __slots__ = ("chunks", "disconnected", "keep_alive", "protocol", "response_complete")
    message_event = _Unheard()

    def __init__(self, protocol: "GuardedProtocol", *, keep_alive: bool) -> None:
        self.protocol = protocol
        self.chunks: list[bytes] = []
        self.keep_alive = keep_alive
        self.response_complete = False
        self.disconnected = False

    def reply(self, answer: Answer) -> None:
        """Write the answer, head and body at once; nobody hears it where the client has gone."""
        self.response_complete = True
        transport = self.protocol.transport
        if self.disconnected or transport.is_closing():
            return
        own = self.protocol.server_state.default_headers
        if CLOSE in own:
            self.keep_alive = False
        elif not self.keep_alive:
            own = [*own, CLOSE]
        head = b"".join([b"%b: %b\r\n" % field for field in (*own, *answer.fields)])
        transport.write(b"%b%b\r\n%b" % (STATUS_LINE[answer.status], head, answer.body))
        if not self.keep_alive:
            transport.close()
        self.protocol.on_response_complete()


class GuardedProtocol(HttpToolsProtocol):
    """One connection; `is_overdue` is asked by the server's sweep."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting_since: float | None = None
        self._framing = 0
        self._reads_head = True
        self._asks_for_more = False
        self._stalled_since: float | None = None
        self._idle_since: float | None = None
        self._has_ended = False
        self._takes_whole: TakesWholeRequests | None = getattr(self.app, "whole", None)
        self._whole: _WholeRequest | None = None
        self._begun: list[RequestResponseCycle] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own signature
        """Begin to wait for the first request; where there is no room even for a refusal, close."""
        super().connection_made(transport)
        self._waiting_since = self.loop.time()
        if self.limit_concurrency is not None and len(self.connections) > closed_beyond(self.limit_concurrency):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all requests that nobody hears them any more: uvicorn tells the last one only, and those before it fail in writing."""
        super().connection_lost(exc)
        for cycle in self._begun:
            cycle.disconnected = True
            cycle.message_event.set()
        self._waiting_since = self._idle_since = None

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn closes at once
        """Keep the connection of who has said all he has to say for the answers that he waits for."""
        self._has_ended = self._waiting_since is None and self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]
        return self._has_ended

    def on_response_complete(self) -> None:
        """Go on to the next request; where none can come, this was the last answer.

        Where none has come yet, uvicorn would set a timer; the sweep costs nothing for each request, and holds no memory after a reset.
        """
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
        else:
            self.server_state.total_requests += 1
            self.flow.resume_reading()
            self._idle_since = self.loop.time()
        if self._has_ended and self.cycle.response_complete:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless what is around the body has grown too large."""
        if self._waiting_since is None:
            self._waiting_since = self.loop.time()
        self._framing += len(data)
        self._feed(data)
        if self._whole is not None:
            self._go_on_the_long_way(self._whole.chunks)
        if self._framing > MAX_HEAD:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Note that a request begins; its scope is made on the long way only."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._waiting_since = self.loop.time()
        self._idle_since = None
        self._reads_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field of the head; one behind the body can't change what the head has said (RFC 9110, 6.5.1)."""
        if not self._reads_head:
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Choose the request's way; there is none where the answer before it has closed the connection."""
        self._reads_head = False
        if self.transport.is_closing():
            return
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._asks_for_more = True
            return
        if self._may_be_whole():
            self._whole = _WholeRequest(self, keep_alive=self.parser.should_keep_alive())
        else:
            self._begin_the_long_way()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self._framing -= len(body) * (1 + _FRAME)
        if self._whole is None:
            super().on_body(body)
        else:
            self._whole.chunks.append(body)

    def on_message_complete(self) -> None:
        """Note that it is whole: from now on it is we who are waited for."""
        if self._asks_for_more:
            return
        whole, self._whole = self._whole, None
        self._waiting_since = None
        self._framing = 0
        if whole is None:
            super().on_message_complete()
        elif self._takes_whole is not None:
            self.cycle = whole  # type: ignore[assignment]  # it has what uvicorn asks of one
            self._takes_whole.take(self.url, self.headers, b"".join(whole.chunks), whole.reply)

    def is_overdue(self, now: float, seconds: float) -> bool:
        """Say whether the client has had longer than `seconds` for its request; `now` is the event loop's time."""
        return self._waiting_since is not None and now - self._waiting_since > seconds

    def is_idle(self, now: float, seconds: float) -> bool:
        """Say whether the client has sent nothing for longer than `seconds` after its last answer."""
        return self._idle_since is not None and self._waiting_since is None and now - self._idle_since > seconds

    def is_stalled(self, now: float, seconds: float) -> bool:
        """Say whether the client has left its answers unread for longer than `seconds`; asked every now and then."""
        if not (self.flow.write_paused or self.transport.is_closing()):
            self._stalled_since = None
        elif self._stalled_since is None:
            self._stalled_since = now
        return self._stalled_since is not None and now - self._stalled_since > seconds

    def refuse(self, status: HTTPStatus) -> None:
        """Answer with a bare status, unless an answer has begun, and close."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr]  # None before the first request
            line = f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            self.transport.write(line.encode())
        self.transport.close()

    def _feed(self, data: bytes) -> None:
        """Parse; a request that asks for another protocol is parsed once more without that wish.

        A server may ignore it (RFC 9110, 7.8), but the parser takes what follows for the other protocol then, the body too: Java's HTTP
        client, which asks for HTTP/2 with its first request, would post nothing, and the body could be taken for a request.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._asks_for_more:
                self._asks_for_more = False
                rest = data[upgrade.args[0] :]
                head = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
                fields = b"".join(b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade")
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self._feed(b"%b%b\r\n%b" % (head, fields, rest))
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    def _may_be_whole(self) -> bool:
        """Say whether the request whose head is read may take the short way, should its body be there already."""
        return (
            self._takes_whole is not None
            and self.url in self._takes_whole.doors
            and (self.cycle is None or self.cycle.response_complete)  # type: ignore[redundant-expr]  # None before the first request
            and not self.expect_100_continue
            and not self.flow.write_paused  # the long way waits for a client that does not read its answers
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and not self.parser.should_upgrade()
            and (self.limit_concurrency is None or len(self.connections) < self.limit_concurrency)
        )

    def _begin_the_long_way(self) -> None:
        """Make the scope that `on_message_begin` left out, and have uvicorn start the application."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()
        self._begun = [*(cycle for cycle in self._begun if not cycle.response_complete), self.cycle]

    def _go_on_the_long_way(self, chunks: list[bytes]) -> None:
        """Give a request to the application whose body is still coming."""
        self._whole = None
        if not self.transport.is_closing():
            self._begin_the_long_way()
            for chunk in chunks:
                super().on_body(chunk)
