"""The short way and the long way are one to a client: requests over raw sockets, byte for byte, whole, in pieces and one behind another."""

import asyncio
import base64
import gzip
import json

import pytest

from services.ingest.protocol import CLOSE, GuardedProtocol
from tests.integration.ingest.door import REQUEST_DEADLINE, Door, until
from tests.integration.ingest.raw import EVENT, ask, keyed, named, post_of, read_answer

TRACK = b'{"type": "track", "event": "a", "userId": "1", "messageId": "i1", "timestamp": "2026-11-22T10:00:00Z"}'
_CLOSE = b"connection: close\r\n"


async def _push(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, packet: bytes) -> None:
    """Send the same again and again, at most six gigabytes, until the other side has had enough; read nothing meanwhile."""
    async with asyncio.timeout(20):
        for _ in range(100_000):
            writer.write(packet)
            await writer.drain()
        await reader.readexactly(1)


async def _read_ids(reader: asyncio.StreamReader, number: int) -> list[str]:
    return [json.loads((await read_answer(reader))[2])["results"][0]["id"] for _ in range(number)]


CASES: dict[str, tuple[str, bytes, dict[str, str]]] = {
    "an event": ("/v1/events", EVENT, {}),
    "a page's event": ("/v1/events", EVENT, {"origin": "https://shop.example"}),
    "a bad event": ("/v1/events", b'{"type": "povod.erase", "customer": "1", "id": "i1"}', {}),
    "a batch": ("/v1/events", b'{"batch": [%s, %s, {"type": ""}]}' % (EVENT, EVENT), {}),
    "no JSON": ("/v1/events", b"hello", {}),
    "nothing": ("/v1/events", b"", {}),
    "gzip": ("/v1/events", gzip.compress(EVENT, mtime=0), {"content-encoding": "gzip"}),
    "an unknown packing": ("/v1/events", EVENT, {"content-encoding": "br"}),
    "a key that is none": ("/v1/events", EVENT, {"authorization": "Bearer nobody"}),
    "a batch that is too long": ("/v1/events", b"[" + b"{}," * 2_500 + b"{}]", {}),
    "Segment's": ("/v1/track", TRACK, {}),
    "Segment's with a slash": ("/v1/batch/", b'{"batch": [%s]}' % TRACK, {}),
    "Segment's metrics": ("/v1/m", b"{}", {}),
    "PostHog's": ("/batch/", b'{"batch": [{"event": "a", "distinct_id": "1", "uuid": "i1"}]}', {}),
    "PostHog's newer": ("/i/v1/analytics/events", b'{"batch": [{"event": "a", "distinct_id": "1", "uuid": "i1"}]}', {}),
    "CloudEvents": ("/cloudevents", EVENT, {"ce-specversion": "1.0", "ce-id": "i", "ce-source": "s", "ce-type": "a", "ce-subject": "1"}),
    "no CloudEvent": ("/cloudevents", EVENT, {"content-type": "text/html"}),
    "GA4's without a secret": ("/mp/collect", b'{"client_id": "v", "events": [{"name": "a"}]}', {}),
    "Customer.io's": ("/api/v1/events", b'{"name": "a", "anonymous_id": "v", "id": "i1"}', {"authorization": "Basic {basic}"}),
}

CLOSED = frozenset({"a key that is none", "a batch that is too long", "Segment's metrics", "GA4's without a secret"})
"""Where the long way closes the connection."""


@pytest.mark.parametrize("name", list(CASES))
async def test_both_ways_give_the_same_answer(door: Door, name: str) -> None:
    """What comes whole and what is asked with an empty query get the same bytes.

    But for `connection: close`: the long way ends the connection of who is refused, since it may not have read all; the short way has.
    """
    path, body, more = CASES[name]
    basic = base64.b64encode(f"site:{door.key}".encode()).decode()
    headers = {"authorization": f"Bearer {door.key}"} | {field: value.replace("{basic}", basic) for field, value in more.items()}
    status, head, content = await ask(door, post_of(path, body, headers))
    long = await ask(door, post_of(f"{path}?", body, headers))
    assert b"connection" not in head
    assert (long[0], long[1].replace(_CLOSE, b""), long[2]) == (status, head, content)
    assert _CLOSE not in long[1] or name in CLOSED


async def test_a_204_has_no_body_on_either_way(door: Door) -> None:
    """GA4's door answers 204, and the next answer begins right behind its head."""
    body = b'{"client_id": "v", "events": [{"name": "a"}]}'
    async with door.connected() as (reader, writer):
        for query in (f"?api_secret={door.key}&", f"?api_secret={door.key}"):
            writer.write(post_of(f"/mp/collect{query}", body, {}) + named(door, "after"))
            assert (await read_answer(reader))[0] == 204
            assert await _read_ids(reader, 1) == ["after"]


async def test_both_ways_in_one_packet_keep_their_order(door: Door) -> None:
    """Requests of both ways in one packet are answered each once, in order, and each is stored once."""
    names = ["short1", "long1", "short2", "short3", "long2", "short4"]
    packet = b"".join(named(door, name, "/v1/events" if name.startswith("short") else "/v1/events?x=1") for name in names)
    async with door.connected() as (reader, writer):
        for _ in range(2):
            writer.write(packet)
            assert await _read_ids(reader, len(names)) == names
    assert [event.id for event in await door.events()] == names * 2


async def test_a_refusal_does_not_shift_the_answers(door: Door) -> None:
    """Where a request of a packet is refused at once, those before and behind it get their own answers."""
    refused = post_of("/v1/events", EVENT, {"authorization": "Bearer nobody"})
    async with door.connected() as (reader, writer):
        writer.write(named(door, "first") + refused + named(door, "never"))
        assert await _read_ids(reader, 1) == ["first"]
        assert (await read_answer(reader))[0] == 401
    async with door.connected() as (reader, writer):
        writer.write(refused + refused + named(door, "second"))
        assert [(await read_answer(reader))[0] for _ in range(2)] == [401, 401]
        assert await _read_ids(reader, 1) == ["second"]


async def test_a_request_cut_anywhere_is_one_request(door: Door) -> None:
    """Wherever the packets of a request end, it is answered once and alike, and so is the one behind it."""
    request = keyed(door, b"no JSON")
    async with door.connected() as (reader, writer):
        writer.write(request)
        whole = await read_answer(reader)
        for cut in range(1, len(request)):
            writer.write(request[:cut])
            await asyncio.sleep(0)
            writer.write(request[cut:] + request)
            assert [await read_answer(reader), await read_answer(reader)] == [whole, whole]
        writer.write(named(door, "last"))
        assert await _read_ids(reader, 1) == ["last"]


def _chunked(door: Door, chunks: bytes, *fields: str, path: str = "/v1/events") -> bytes:
    head = (f"POST {path} HTTP/1.1", "host: x", f"authorization: Bearer {door.key}", "transfer-encoding: chunked", *fields, "\r\n")
    return "\r\n".join(head).encode() + chunks


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events?x=1"])
async def test_chunks_in_one_packet(door: Door, path: str) -> None:
    """A chunked body that comes in one read is put together, and what stands behind it is the next request."""
    chunks = b"".join(b"1;note=x\r\n%c\r\n" % byte for byte in EVENT) + b"0\r\n\r\n"
    async with door.connected() as (reader, writer):
        writer.write(_chunked(door, chunks, path=path) + named(door, "next"))
        assert await _read_ids(reader, 2) == ["i1", "next"]


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events?x=1"])
async def test_trailers_are_no_headers(door: Door, path: str) -> None:
    """What stands behind a body can't name a key or say what the body is."""
    trailers = b"authorization: Bearer nobody\r\ncontent-encoding: br\r\n"
    chunks = b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(EVENT), EVENT, trailers)
    async with door.connected() as (reader, writer):
        writer.write(_chunked(door, chunks, path=path))
        assert await _read_ids(reader, 1) == ["i1"]
    nobody = f"POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    stolen = f"authorization: Bearer {door.key}\r\n".encode()
    assert (await ask(door, nobody + b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(EVENT), EVENT, stolen)))[0] == 401


@pytest.mark.parametrize("tail", [b"0\r\nx-a: ", b"1;x="])
async def test_endless_words_around_a_body_are_cut(door: Door, tail: bytes) -> None:
    """Trailers and chunk extensions without end close the connection, long before its time is over."""
    async with door.connected() as (reader, writer):
        writer.write(_chunked(door, b"1\r\n[\r\n" + tail))
        began = asyncio.get_running_loop().time()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await _push(reader, writer, b"x" * 65_536)
        assert asyncio.get_running_loop().time() - began < REQUEST_DEADLINE.total_seconds()
    await until(lambda: not door.server.server_state.connections)
    assert door.in_flight() == 0


async def test_close_is_the_end(door: Door) -> None:
    """After `Connection: close` the answer says so, the connection ends, and nothing behind the request is taken."""
    for path in ("/v1/events", "/v1/events?x=1"):
        async with door.connected() as (reader, writer):
            writer.write(named(door, "last", path, connection="close") + named(door, "behind", path))
            status, head, _ = await read_answer(reader)
            assert (status, head.count(b"connection: close\r\n")) == (200, 1)
            assert await reader.read() == b""
    assert {event.id for event in await door.events()} == {"last"}


async def test_http_1_0_is_answered_and_closed(door: Door) -> None:
    """An HTTP/1.0 request is taken, answered with a length, and its connection closed."""
    async with door.connected() as (reader, writer):
        writer.write(keyed(door).replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert await _read_ids(reader, 1) == ["i1"]
        assert await reader.read() == b""


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events?x=1"])
async def test_an_upgrade_with_a_body_is_an_ordinary_request(door: Door, path: str) -> None:
    """Who asks for another protocol while posting gets the event's answer, and no part of the body is taken for a request."""
    wish = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAEAAEAAAAIAAAAA"}
    request = named(door, "up", path, **wish)
    smuggled = keyed(door, named(door, "smuggled"), path, **wish)
    async with door.connected() as (reader, writer):
        writer.write(request + named(door, "next"))
        assert await _read_ids(reader, 2) == ["up", "next"]
        for cut in (5, len(request) - len(EVENT) - 2, len(request) - len(EVENT), len(request) - 3):
            writer.write(request[:cut])
            await asyncio.sleep(0.01)
            writer.write(request[cut:])
            assert await _read_ids(reader, 1) == ["up"]
        head = smuggled.index(b"\r\n\r\n") + 4
        writer.write(smuggled[:head])
        await asyncio.sleep(0.01)
        writer.write(smuggled[head:])
        assert (await read_answer(reader))[0] == 400


async def test_expect_is_obeyed(door: Door) -> None:
    """Who waits for `100 Continue` gets it, also where the body came along, and one answer."""
    async with door.connected() as (reader, writer):
        writer.write(named(door, "expects", expect="100-continue"))
        async with asyncio.timeout(20):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert await _read_ids(reader, 1) == ["expects"]


async def test_shutdown_waits_for_a_request_on_the_short_way(door: Door) -> None:
    """A server that stops answers what waits for the log, says that it closes, and closes."""
    async with door.connected() as (reader, writer):
        async with door.stuck_disk():
            writer.write(named(door, "late"))
            await until(lambda: door.in_flight() > 0)
            (connection,) = door.server.server_state.connections
            assert isinstance(connection, GuardedProtocol)
            door.server.should_exit = True
            await until(lambda: not connection.cycle.keep_alive)
        status, head, body = await read_answer(reader)
        assert (status, json.loads(body)["results"][0]["id"], head.count(b"connection: close")) == (200, "late", 1)
        assert await reader.read() == b""
    assert [event.id for event in await door.events()] == ["late"]


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events?x=1"])
async def test_silence_after_an_answer_ends_the_connection(door: Door, path: str) -> None:
    """Who sends nothing more is let go when the server's patience is over; who still waits for his answer is not silent."""
    door.server.config.timeout_keep_alive = 0
    async with door.connected() as (reader, writer):
        async with door.stuck_disk():
            writer.write(post_of("/v1/events", EVENT, {"authorization": "Bearer nobody"}) + named(door, "waits", path))
            assert (await read_answer(reader))[0] == 401
            await until(lambda: door.in_flight() > 0)
            (connection,) = door.server.server_state.connections
            assert isinstance(connection, GuardedProtocol)
            assert not connection.is_idle(asyncio.get_running_loop().time() + 60, 5)
        assert await _read_ids(reader, 1) == ["waits"]
        async with asyncio.timeout(5):
            assert await reader.read() == b""


async def test_a_leaving_server_takes_nothing_that_it_can_not_answer(door: Door) -> None:
    """Once an answer has closed the connection, what stands behind its request in the packet is not taken."""
    door.server.config.encoded_headers.append(CLOSE)
    await until(lambda: CLOSE in door.server.server_state.default_headers)
    refused = post_of("/v1/events", EVENT, {"authorization": "Bearer nobody"})
    for behind in ("/v1/events", "/v1/events?x=1"):
        async with door.connected() as (reader, writer):
            writer.write(refused + named(door, "unheard", behind))
            assert (await read_answer(reader))[0] == 401
            assert await reader.read() == b""
    assert (await ask(door, named(door, "heard")))[0] == 200
    assert [event.id for event in await door.events()] == ["heard"]


async def _watch(door: Door, sizes: list[int]) -> None:
    """Note the bytes of answers that wait in this process for their clients, again and again."""
    while True:
        connections = [each for each in door.server.server_state.connections if isinstance(each, GuardedProtocol)]
        sizes.append(sum(connection.transport.get_write_buffer_size() for connection in connections))
        await asyncio.sleep(0.002)


async def test_who_does_not_read_is_not_heard(door: Door) -> None:
    """A client that reads no answers fills no memory: its requests wait, and its connection is ended when its time is over."""
    packet = keyed(door, b"[" + b",".join([b"{}"] * 500) + b"]")
    sizes: list[int] = []
    watching = asyncio.create_task(_watch(door, sizes))
    async with door.connected() as (reader, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport can
        with pytest.raises(ConnectionError):
            await _push(reader, writer, packet)
        await until(lambda: not door.server.server_state.connections)
    watching.cancel()
    assert 0 < max(sizes) < 1_000_000
