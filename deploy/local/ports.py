"""Ports for servers that tests and benchmarks start."""

import secrets
import socket

_HANDED_OUT: set[int] = set()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on, another one at each call.

    It lies below the ports that Linux (from 32768) and macOS (from 49152) give to outgoing connections: one of those can be taken, even by
    a client that connects to itself, between this answer and the server's start, or while the server is restarted.
    """
    while True:
        port = secrets.choice(range(20_000, 32_768))
        if port not in _HANDED_OUT and _is_free(port):
            _HANDED_OUT.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
