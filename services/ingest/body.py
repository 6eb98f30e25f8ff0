"""A request's body: read under a byte limit and a deadline, unpacked under the same limit. No Content-Type is asked for.

SDKs send `text/plain`, gzip labelled as a form, and gzip without a label; so gzip is known by its header or by its magic. Deflate (zlib's
format, RFC 1950, as RFC 9110 has it) needs its label.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from datetime import timedelta
from typing import Any

from services.ingest.admission import InFlight
from services.ingest.refusals import RequestRefused

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP = 16 + zlib.MAX_WBITS
_MOST_MEMBERS = 256
"""Of one packed body. Each costs a copy of all that is behind it, and an empty one has but 20 bytes."""


class ClientGoneError(Exception):
    """The client hung up before its request was whole; there is nobody to answer."""


class Body:
    """One request's body; `held` bytes of it are counted as in flight until `release`. `packed` is what was read of it, as it came."""

    def __init__(self, limit: int, in_flight: InFlight) -> None:
        self._limit = limit
        self._in_flight = in_flight
        self._held = 0
        self.packed = b""

    async def read(self, receive: Receive, headers: Mapping[bytes, bytes], within: timedelta) -> bytes:
        """Return the body, unpacked.

        Raises `RequestRefused` (408, 413, 415, 400, 503) or `ClientGoneError`.
        """
        _check_declared(headers.get(b"content-length"), self._limit)
        first = await receive()
        if first.get("more_body", False) or first["type"] != "http.request":
            packed = await self._read_rest(receive, first, within)
        else:
            packed = first.get("body", b"")
            self._hold(len(packed), len(packed))
        self.packed = packed
        return self._unpack(packed, headers.get(b"content-encoding", b""))

    def unpack(self, packed: bytes, headers: Mapping[bytes, bytes]) -> bytes:
        """Return a body that is there already, unpacked; raises `RequestRefused` (413, 415, 400, 503)."""
        self._hold(len(packed), len(packed))
        return self._unpack(packed, headers.get(b"content-encoding", b""))

    def grow(self, more: int) -> None:
        """Count in flight what was made of the body, where that is more than the body; raises `RequestRefused` (503)."""
        if more > 0:
            self._in_flight.take(more)
            self._held += more

    def release(self) -> None:
        """Let go of what is counted in flight. Harmless twice."""
        self._in_flight.give_back(self._held)
        self._held = 0

    async def _read_rest(self, receive: Receive, first: Mapping[str, Any], within: timedelta) -> bytes:
        try:
            async with asyncio.timeout(within.total_seconds()):
                return await self._read_chunks(receive, first)
        except TimeoutError as error:
            raise RequestRefused("request_timeout", f"the body was not whole within {within.total_seconds():g} s") from error

    async def _read_chunks(self, receive: Receive, message: Mapping[str, Any]) -> bytes:
        body = bytearray()
        while True:
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            body += message.get("body", b"")
            self._hold(len(message.get("body", b"")), len(body))
            if not message.get("more_body", False):
                return bytes(body)
            message = await receive()

    def _hold(self, more: int, size: int) -> None:
        if size > self._limit:
            raise too_large(self._limit)
        self._in_flight.take(more)
        self._held += more

    def _unpack(self, packed: bytes, encoding: bytes) -> bytes:
        if packed.startswith(_GZIP_MAGIC):
            body = inflate(packed, self._limit)
        elif not encoding:
            return packed
        elif encoding.strip().lower() == b"deflate" and _is_zlib(packed):
            body = inflate(packed, self._limit, zlib.MAX_WBITS)
        else:
            _check_encoding(encoding)
            return packed
        self._hold(len(body), len(body))
        return body


def _check_declared(length: bytes | None, limit: int) -> None:
    if length is not None and length.isdigit() and int(length[:20]) > limit:
        raise too_large(limit)


def _check_encoding(encoding: bytes) -> None:
    """A body that is labelled gzip and is none is taken as it is: proxies unpack and leave the label."""
    if encoding.strip().lower() not in {b"", b"identity", b"gzip", b"x-gzip", b"deflate"}:
        raise RequestRefused("unsupported_encoding", "send the body as it is, or packed with gzip or deflate")


def _is_zlib(packed: bytes) -> bool:
    """Say whether this begins with zlib's two bytes, which no JSON does (RFC 1950, 2.2)."""
    return len(packed) > 1 and packed[0] & 0x0F == zlib.DEFLATED and (packed[0] << 8 | packed[1]) % 31 == 0


def inflate(packed: bytes, limit: int, window: int = _GZIP) -> bytes:
    """Unpack gzip (RFC 1952, several members too) up to `limit` bytes; raises `RequestRefused` beyond that and on broken input.

    `window` is zlib's `wbits`: another format of the same bytes.
    """
    parts: list[bytes] = []
    size = 0
    while packed:
        if len(parts) == _MOST_MEMBERS:
            raise RequestRefused("invalid_gzip", f"a packed body has at most {_MOST_MEMBERS} members")
        unpacker = zlib.decompressobj(window)
        try:
            parts.append(unpacker.decompress(packed, limit - size + 1))
        except zlib.error as error:
            raise RequestRefused("invalid_gzip", f"the body can't be unpacked: {error}") from error
        size += len(parts[-1])
        if size > limit:
            raise too_large(limit)
        if not unpacker.eof:
            raise RequestRefused("invalid_gzip", "the packed body ends too early")
        packed = unpacker.unused_data if unpacker.unused_data.startswith(_GZIP_MAGIC) else b""
    return b"".join(parts)


def too_large(limit: int) -> RequestRefused:
    """Return the refusal of a body over the limit."""
    return RequestRefused("payload_too_large", f"a request has at most {limit} bytes, unpacked")
