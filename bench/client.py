"""A plain HTTP/1.1 client over raw connections: `python -m bench.client URL CONNECTIONS SECONDS [RATE]`.

Without a rate it posts as fast as answers come, for machines without wrk. With one it posts so many requests a second whatever the
answers do, and a latency begins when its request was due, not when the one before was done with: waiting in line is part of it.
"""

import asyncio
import json
import os
import re
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

SUCCESS = b"HTTP/1.1 2"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


def requests_of(host: str) -> list[bytes]:
    """Return the requests to send, whole, headers included."""
    folder, count = Path(os.environ["BENCH_BODIES"]), int(os.environ["BENCH_COUNT"])
    head = (
        f"POST {os.environ['BENCH_PATH']} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {os.environ['BENCH_KEY']}\r\nContent-Length: "
    ).encode()
    bodies = ((folder / f"{n}.json").read_bytes() for n in range(count))
    return [head + str(len(body)).encode() + b"\r\n\r\n" + body for body in bodies]


class Connection(asyncio.Protocol):
    """Posts one request after the other, each `every` seconds (0: as soon as the last one is answered), from `first` to `ends_at`.

    Times are of `time.monotonic`: the loop's own counts milliseconds.
    `done` is set when the time is up and the last answer has come; it fails where the server hangs up.
    """

    def __init__(self, requests: list[bytes], number: int, first: float, every: float, ends_at: float) -> None:
        """`number` says with which request it begins."""
        self.latencies: list[float] = []
        self.refused = 0
        self._loop = asyncio.get_running_loop()
        self.done = self._loop.create_future()
        self._requests = requests
        self._next = number * 7
        self._due = first
        self._every = every
        self._ends_at = ends_at
        self._answer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # a connection's is one
        """Begin when it is time."""
        self._transport = transport
        self._loop.call_later(self._due - time.monotonic(), self._post)

    def data_received(self, data: bytes) -> None:
        """Note the answer where it is whole, and go on."""
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or length is None or len(body) < int(length[1]):
            return
        now = time.monotonic()
        self.latencies.append(now - self._due)
        self.refused += not head.startswith(SUCCESS)
        self._answer = b""
        self._due = self._due + self._every if self._every else now
        if max(self._due, now) >= self._ends_at:
            self.done.set_result(None)
        elif self._due > now:
            self._loop.call_later(self._due - time.monotonic(), self._post)
        else:
            self._post()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail unless the time is up."""
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server hung up"))

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def _post(self) -> None:
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1


async def run(url: str, connections: int, seconds: float, rate: float = 0) -> dict[str, float]:
    """Post over all connections; return what was seen."""
    requests, loop, parts = requests_of(urlsplit(url).netloc), asyncio.get_running_loop(), urlsplit(url)
    began = time.monotonic() + 0.1
    every = connections / rate if rate else 0
    posting = [Connection(requests, n, began + n * every / connections, every, began + seconds) for n in range(connections)]
    for each in posting:
        await loop.create_connection(lambda each=each: each, str(parts.hostname), parts.port or 80)  # type: ignore[misc]
    await asyncio.gather(*[each.done for each in posting])
    took = time.monotonic() - began
    for each in posting:
        each.close()
    latencies = sorted(latency for each in posting for latency in each.latencies)
    return {
        "requests": len(latencies),
        "seconds": took,
        "refused": sum(each.refused for each in posting),
        "broken": 0,
        "p50_ms": 1000 * latencies[len(latencies) // 2],
        "p99_ms": 1000 * latencies[len(latencies) * 99 // 100],
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[3:])))))
