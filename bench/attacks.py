"""Hostile clients: what people post who wish a service ill, one request after the other."""

import gzip
import socket
import threading

_PAUSE = 0.05
"""Seconds between two requests: an attack by one client, not a flood that any server only sheds."""
BODIES = (
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"type": "a", "customer": "1", "data": {"v": %s}}' % (b"9" * 5_000),
    b'{"type": "a", "customer": "1", "data": {"v": "\\ud83d \\u0000", "w": NaN, "x": 1e400}}',
    b'{"type": "a", "customer": "1", "data": {"%s": 1}}' % (b"k" * 1_000_000),
    b'{"type": "a", "customer": "1", "data": {"v": "%s"}}' % (b"v" * 1_000_000),
    b"[" + b"{}," * 100_000 + b"{}]",
    gzip.compress(b"\0" * 100_000_000),
    b"\x1f\x8b\x08\0garbage",
)
HEADS = (
    b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n",
)


def attack(port: int, key: str, stop: threading.Event) -> None:
    """Post one hostile request after the other until `stop` is set."""
    whole = [b"POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\ncontent-length: %d\r\n\r\n%b" for _ in BODIES]
    requests = [head % (key.encode(), len(body), body) for head, body in zip(whole, BODIES, strict=True)] + list(HEADS)
    number = 0
    while not stop.wait(_PAUSE):
        _post(port, requests[number % len(requests)])
        number += 1


def _post(port: int, request: bytes) -> None:
    """Post and wait for an answer or an end, not for long."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.settimeout(2)
        try:
            connection.sendall(request)
            connection.recv(65_536)
        except OSError:
            return  # cut off while sending: that is an answer too
