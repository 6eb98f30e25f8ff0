"""A programmable HTTP proxy in front of ingest: it refuses, loses or cuts the requests it is told to, and passes everything else as it is.

Connections are passed byte for byte. Requests are told apart only to count them: each POST, PUT or DELETE takes the next fault of the plan,
preflights and configuration take none. `certificate` makes it a TLS front.
"""

import asyncio
import contextlib
import re
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

_HEAD_END = b"\r\n\r\n"
_COUNTED = (b"POST ", b"PUT ", b"DELETE ")
_REASONS = {429: "Too Many Requests", 503: "Service Unavailable"}
_BODY = b'{"success":false,"code":"made_up","message":"the proxy says no","detail":"the proxy says no"}'


class Refuse(NamedTuple):
    """Answer in the server's place; the request never reaches it."""

    status: int
    retry_after: int | None = None


class Cut(NamedTuple):
    """Close the connection; the request never reaches the server."""


class Lose(NamedTuple):
    """Pass the request on, and close the connection when the answer comes: the client can't know what became of it."""


Fault = Refuse | Cut | Lose


class Request(NamedTuple):
    """One request's bytes, and what its head says."""

    raw: bytes
    origin: bytes | None

    @property
    def is_counted(self) -> bool:
        """Say whether it brings something."""
        return self.raw.startswith(_COUNTED)


class Proxy:
    """Listens at `port` once started; `faults` are taken in order, one a request that brings something. `seen` counts those.

    `answers` counts the server's by status, as far as each began with a read of its own.
    """

    def __init__(self, upstream_port: int, faults: Iterable[Fault] = (), certificate: ssl.SSLContext | None = None) -> None:
        self._upstream_port = upstream_port
        self._faults = list(faults)
        self._certificate = certificate
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.seen = 0
        self.answers: Counter[str] = Counter()

    @property
    def url(self) -> str:
        """Return where it listens."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"{'https' if self._certificate else 'http'}://127.0.0.1:{port}"

    @property
    def left(self) -> int:
        """Return how many faults nobody has met."""
        return len(self._faults)

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._certificate, backlog=256)

    async def stop(self) -> None:
        """Stop listening and cut all connections."""
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                await self._serve(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection: requests one by one to the server, its answers back as they come."""
        connection: _Upstream | None = None
        try:
            async for request in _requests(reader):
                fault = self._next_fault(request)
                if isinstance(fault, Cut):
                    return
                if isinstance(fault, Refuse):
                    writer.write(_refusal(fault, request))
                    await writer.drain()
                    continue
                connection = connection or await _Upstream.open(self._upstream_port, writer, self.answers)
                await connection.send(request.raw, lose=isinstance(fault, Lose))
        finally:
            if connection is not None:
                connection.close()

    def _next_fault(self, request: Request) -> Fault | None:
        if not request.is_counted:
            return None
        self.seen += 1
        return self._faults.pop(0) if self._faults else None


class _Upstream:
    """The connection to the server behind one client's connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.StreamWriter, answers: Counter[str]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._client = client
        self._answers = answers
        self._lose = False
        self._pump = asyncio.create_task(self._pass_back())

    @classmethod
    async def open(cls, port: int, client: asyncio.StreamWriter, answers: Counter[str]) -> "_Upstream":
        """Connect; raises `ConnectionError` where nobody listens."""
        return cls(*await asyncio.open_connection("127.0.0.1", port), client, answers)

    async def send(self, raw: bytes, *, lose: bool) -> None:
        """Pass a request on."""
        self._lose = lose
        self._writer.write(raw)
        await self._writer.drain()

    def close(self) -> None:
        """Let go of both directions."""
        self._pump.cancel()
        self._writer.close()

    async def _pass_back(self) -> None:
        """Pass answers back until either side ends; an answer to be lost ends both at once."""
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(65536):
                if self._lose:
                    self._client.transport.abort()
                    return
                if data.startswith(b"HTTP/1.1 "):
                    self._answers[_status_of(data)] += 1
                self._client.write(data)
                await self._client.drain()
        self._client.close()


async def _requests(reader: asyncio.StreamReader) -> AsyncIterator[Request]:
    """Yield whole requests until the client is done."""
    while True:
        try:
            head = await reader.readuntil(_HEAD_END)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])}
        if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
            body = await _chunks(reader)
        else:
            body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
        yield Request(head + body, fields.get(b"origin"))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """Return a chunked body as it came, chunk sizes included."""
    raw = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        raw += line + await reader.readexactly(size + 2)
        if size == 0:
            return raw


def _status_of(answer: bytes) -> str:
    """Return an answer's status, and for an error of ours its code."""
    code = re.search(rb'"code":"(\w+)"', answer)
    return answer[9:12].decode() + (f" {code[1].decode()}" if code and answer[9:10] in b"45" else "")


def _refusal(fault: Refuse, request: Request) -> bytes:
    """Return the answer as ingest words one: browsers may read it and the wait it asks for."""
    lines = [f"HTTP/1.1 {fault.status} {_REASONS[fault.status]}", "Content-Type: application/json", f"Content-Length: {len(_BODY)}"]
    if fault.retry_after is not None:
        lines.append(f"Retry-After: {fault.retry_after}")
    if request.origin is not None:
        lines += [f"Access-Control-Allow-Origin: {request.origin.decode()}", "Access-Control-Expose-Headers: Retry-After"]
        lines += ["Access-Control-Allow-Credentials: true"]
    return "\r\n".join(lines).encode() + _HEAD_END + _BODY
