"""A TCP proxy in front of a Kafka broker that can go dumb (a black hole), slow (it stores nothing) or away (a refused connection).

Kafka's clients connect to the address that the broker advertises, so the proxy writes its own port into the answers: the protocol
frames are length-prefixed, and a port is four bytes behind the host's name wherever it stands.
"""

import asyncio
import struct
from contextlib import suppress

HOST = b"127.0.0.1"
_PRODUCE = b"\x00\x00"
"""What requests to store records begin with (https://kafka.apache.org/protocol#protocol_api_keys)."""


class KafkaProxy:
    """Forwards to one broker on 127.0.0.1 until told otherwise."""

    def __init__(self, bootstrap: str) -> None:
        self._port = int(bootstrap.rpartition(":")[2])
        self._server: asyncio.Server | None = None
        self._own_port = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._storing = asyncio.Event()
        self._storing.set()
        self._links: set[asyncio.Task[None]] = set()

    @property
    def bootstrap(self) -> str:
        """Where clients should connect."""
        return f"127.0.0.1:{self._own_port}"

    async def start(self) -> None:
        """Listen, on the same port each time."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._own_port)
        self._own_port = self._server.sockets[0].getsockname()[1]

    def swallow(self) -> None:
        """Become a black hole: connections stay, nothing passes either way."""
        self._flowing.clear()

    def keep_back(self) -> None:
        """Pass no records on, and everything else: a broker whose disk does not answer."""
        self._storing.clear()

    def release(self) -> None:
        """Let everything pass again."""
        self._flowing.set()
        self._storing.set()

    async def go_away(self) -> None:
        """Cut all connections and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for link in list(self._links):
            link.cancel()
        if self._links:
            await asyncio.wait(self._links)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._link(reader, writer)
        finally:
            self._links.discard(task)
            writer.close()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._port)
        ways = [
            asyncio.ensure_future(self._pump(reader, upstream_writer, is_answer=False)),
            asyncio.ensure_future(self._pump(upstream_reader, writer, is_answer=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            upstream_writer.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool) -> None:
        while True:
            head = await reader.readexactly(4)
            frame = await reader.readexactly(int.from_bytes(head, "big"))
            await self._flowing.wait()
            if not is_answer and frame.startswith(_PRODUCE):
                await self._storing.wait()
            writer.write(head + (self._readdressed(frame) if is_answer else frame))
            await writer.drain()

    def _readdressed(self, frame: bytes) -> bytes:
        return frame.replace(HOST + struct.pack(">i", self._port), HOST + struct.pack(">i", self._own_port))
