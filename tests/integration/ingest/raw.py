"""Requests as bytes, and answers read from a socket: for what no HTTP client would send, or would hide."""

import asyncio
import re
from collections.abc import Mapping

from tests.integration.ingest.door import Door

EVENT = b'{"type": "a", "customer": "1", "id": "i1"}'


def post_of(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a POST with these headers."""
    lines = (f"POST {path} HTTP/1.1", "host: x", *(f"{name}: {value}" for name, value in headers.items()))
    return "\r\n".join((*lines, f"content-length: {len(body)}", "\r\n")).encode() + body


def keyed(door: Door, body: bytes = EVENT, path: str = "/v1/events", **more: str) -> bytes:
    """Return a POST with the door's key, and more headers."""
    return post_of(path, body, {"authorization": f"Bearer {door.key}", **more})


def named(door: Door, name: str, path: str = "/v1/events", **more: str) -> bytes:
    """Return a POST of one event with this id."""
    return keyed(door, EVENT.replace(b"i1", name.encode()), path, **more)


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    """Read one answer: its status, its head without the date, its body."""
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
    return int(head.split()[1]), re.sub(rb"date: [^\r]*\r\n", b"", head), body


async def ask(door: Door, request: bytes) -> tuple[int, bytes, bytes]:
    """Send a request on a connection of its own, and read its answer."""
    async with door.connected() as (reader, writer):
        writer.write(request)
        return await read_answer(reader)
