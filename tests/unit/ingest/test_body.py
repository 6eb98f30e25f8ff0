"""Reading and unpacking a request's body."""

import asyncio
import gzip
import zlib
from collections.abc import MutableMapping
from datetime import timedelta
from typing import Any

import pytest

from services.ingest.admission import InFlight
from services.ingest.body import Body, ClientGoneError, inflate
from services.ingest.refusals import RequestRefused

SOON = timedelta(seconds=20)


class Client:
    """Sends these chunks, then what `end` says: nothing more (`whole`), a broken connection (`gone`) or nothing at all (`silent`)."""

    def __init__(self, *chunks: bytes, end: str = "whole") -> None:
        self._chunks = list(chunks)
        self._end = end

    async def receive(self) -> MutableMapping[str, Any]:
        """Return the next ASGI message."""
        if self._chunks:
            chunk = self._chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(self._chunks) or self._end != "whole"}
        if self._end == "silent":
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}


async def _read(client: Client, *, limit: int = 1_000, in_flight: InFlight | None = None, **headers: bytes) -> bytes:
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return await Body(limit, in_flight or InFlight(10_000)).read(client.receive, named, SOON)


async def _refusal(client: Client, **more: Any) -> str:
    with pytest.raises(RequestRefused) as raised:
        await _read(client, **more)
    return raised.value.code


@pytest.mark.parametrize("chunks", [(b"",), (b"whole",), (b"who", b"le"), (b"w", b"", b"hole")])
async def test_chunks_are_joined(chunks: tuple[bytes, ...]) -> None:
    """The body is what its chunks make."""
    assert await _read(Client(*chunks)) == b"".join(chunks)


async def test_the_limit_counts_every_byte() -> None:
    """A body of exactly the limit passes, one byte more is refused, in one piece or many."""
    assert len(await _read(Client(b"x" * 1_000))) == 1_000
    assert await _refusal(Client(b"x" * 1_001)) == "payload_too_large"
    assert await _refusal(Client(*[b"x" * 100] * 11)) == "payload_too_large"


async def test_endless_bodies_are_refused_at_the_limit() -> None:
    """A chunked body that never ends is refused when the limit is reached, not when it ends."""
    assert await _refusal(Client(*[b"x" * 500] * 3, end="silent")) == "payload_too_large"


@pytest.mark.parametrize(("declared", "refused"), [(b"1001", True), (b"9" * 5_000, True), (b"1000", False), (b"-5", False), (b"x", False)])
async def test_a_declared_length_is_believed_only_if_too_large(declared: bytes, refused: bool) -> None:  # noqa: FBT001 - a parameter
    """A Content-Length over the limit is refused without reading; otherwise the bytes that come are what counts."""
    if refused:
        assert await _refusal(Client(end="silent"), content_length=declared) == "payload_too_large"
    else:
        assert await _read(Client(b"body"), content_length=declared) == b"body"


async def test_a_slow_body_is_given_up() -> None:
    """A body that is not whole within its time is refused with 408."""
    body = Body(1_000, InFlight(10_000))
    with pytest.raises(RequestRefused) as raised:
        await body.read(Client(b"begun", end="silent").receive, {}, timedelta(milliseconds=10))
    assert raised.value.code == "request_timeout"


async def test_a_client_that_hangs_up_is_gone() -> None:
    """A connection lost in the middle of a body is no request at all."""
    with pytest.raises(ClientGoneError):
        await _read(Client(b"begun", end="gone"))
    with pytest.raises(ClientGoneError):
        await _read(Client(end="gone"))


@pytest.mark.parametrize("encoding", [b"gzip", b"", b"identity", b"x-gzip"])
async def test_gzip_is_known_by_its_magic(encoding: bytes) -> None:
    """A packed body is unpacked whether it is labelled or not."""
    assert await _read(Client(gzip.compress(b"events")), content_encoding=encoding) == b"events"


async def test_a_wrong_label_does_no_harm() -> None:
    """A body labelled gzip that is none is taken as it is; other packings are refused."""
    assert await _read(Client(b"{}"), content_encoding=b"gzip") == b"{}"
    assert await _refusal(Client(b"{}"), content_encoding=b"br") == "unsupported_encoding"


async def test_deflate_needs_its_label() -> None:
    """A body in zlib's format is unpacked where it is labelled so, under the same limit; broken, it is refused; unpacked, taken."""
    packed = zlib.compress(b"events")
    assert await _read(Client(packed), content_encoding=b"deflate") == b"events"
    assert await _read(Client(packed)) == packed
    assert await _read(Client(b"{}"), content_encoding=b"Deflate") == b"{}"
    assert await _refusal(Client(packed[:-3]), content_encoding=b"deflate") == "invalid_gzip"
    assert await _refusal(Client(zlib.compress(b"0" * 1_000_000)), content_encoding=b"deflate", limit=20_000) == "payload_too_large"


async def test_a_bomb_is_not_unpacked() -> None:
    """Ten megabytes of zeros in ten kilobytes are refused at the limit."""
    assert await _refusal(Client(gzip.compress(b"\0" * 10_000_000)), limit=20_000) == "payload_too_large"


def test_members_are_joined_under_one_limit() -> None:
    """Several gzip members are one body, and share its limit; padding behind the last is not looked at."""
    packed = gzip.compress(b"a" * 60) + gzip.compress(b"b" * 40)
    assert inflate(packed + b"\0\0", 100) == b"a" * 60 + b"b" * 40
    with pytest.raises(RequestRefused):
        inflate(packed, 99)


def test_many_members_are_refused() -> None:
    """A few empty members are nothing; a megabyte of them, whose unpacking would hold everybody up for a second, is refused."""
    empty = gzip.compress(b"")
    assert inflate(empty * 256, 100) == b""
    with pytest.raises(RequestRefused) as raised:
        inflate(empty * 50_000, 100)
    assert raised.value.code == "invalid_gzip"


@pytest.mark.parametrize("broken", [b"\x1f\x8b", gzip.compress(b"events" * 10)[:-9], gzip.compress(b"x")[:-4] + b"0000"])
def test_broken_gzip_is_refused(broken: bytes) -> None:
    """Cut, garbled and wrongly summed gzip is refused with 400."""
    with pytest.raises(RequestRefused) as raised:
        inflate(broken, 1_000)
    assert raised.value.code == "invalid_gzip"


async def test_bytes_are_counted_until_released() -> None:
    """Packed and unpacked bytes are in flight until the body is released, once."""
    in_flight = InFlight(10_000)
    body = Body(1_000, in_flight)
    packed = gzip.compress(b"e" * 500)
    await body.read(Client(packed).receive, {}, SOON)
    assert in_flight.held == len(packed) + 500
    body.release()
    body.release()
    assert in_flight.held == 0


async def test_too_many_bytes_in_flight_are_refused() -> None:
    """A body that finds no room is refused with 503, and what it held is given back on release."""
    in_flight = InFlight(150)
    body = Body(1_000, in_flight)
    with pytest.raises(RequestRefused) as raised:
        await body.read(Client(b"x" * 100, b"x" * 100).receive, {}, SOON)
    assert (raised.value.code, in_flight.held) == ("overloaded", 100)
    body.release()
    assert in_flight.held == 0


def test_zlib_is_what_the_limit_is_given_to() -> None:
    """The bound on unpacking holds for each call: one byte over the limit is seen, no more is made."""
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert len(unpacker.decompress(gzip.compress(b"\0" * 1_000_000), 101)) == 101
