"""The proxy is a tool that other tests believe: it must do what it is told and nothing else."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.clients.proxy import Cut, Lose, Proxy, Refuse


class Echo:
    """A server that answers each request with its own bytes and counts them."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the client is gone."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
                body = await reader.readexactly(size)
                self.requests.append(head + body)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(head + body), head + body))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Echo, int]]:
    """Return a running echo and its port."""
    echo = Echo()
    server = await asyncio.start_server(echo.answer, "127.0.0.1", 0)
    yield echo, server.sockets[0].getsockname()[1]
    server.close()


async def test_without_faults_bytes_pass_as_they_are(echo: tuple[Echo, int]) -> None:
    """A request reaches the server as the client wrote it, and the answer comes back whole."""
    server, port = echo
    proxy = Proxy(port)
    await proxy.start()
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{proxy.url}/v1/events?x=%20y", content=b"\x1f\x8b\x00raw")
    await proxy.stop()
    assert answer.content == server.requests[0]
    assert answer.content.startswith(b"POST /v1/events?x=%20y HTTP/1.1\r\n")
    assert answer.content.endswith(b"\r\n\r\n\x1f\x8b\x00raw")


async def test_faults_come_in_order_and_pass(echo: tuple[Echo, int]) -> None:
    """Each posting request takes one fault; a preflight takes none; afterwards everything passes."""
    server, port = echo
    proxy = Proxy(port, [Refuse(503), Refuse(429, 7), Cut(), Lose()])
    await proxy.start()
    async with httpx.AsyncClient(base_url=proxy.url) as http:
        preflight = await http.options("/x")
        refused, limited = await http.post("/x"), await http.post("/x", headers={"Origin": "http://shop.example"})
        for _ in range(2):
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await http.post("/x")
        last = await http.post("/x")
    await proxy.stop()
    assert [preflight.status_code, refused.status_code, limited.status_code, last.status_code] == [200, 503, 429, 200]
    assert limited.headers["retry-after"] == "7"
    assert limited.headers["access-control-expose-headers"] == "Retry-After"
    assert limited.headers["access-control-allow-origin"] == "http://shop.example"
    assert [request.partition(b" ")[0] for request in server.requests] == [b"OPTIONS", b"POST", b"POST"]
    assert (proxy.seen, proxy.left) == (5, 0)
