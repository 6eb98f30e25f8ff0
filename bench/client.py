"""A plain HTTP/1.1 client over raw connections: `python -m bench.client URL CONNECTIONS SECONDS [RATE]`.

Without a rate it posts as fast as answers come, for machines without wrk. With one it posts so many requests a second whatever the
answers do, and a latency begins when its request was due, not when the one before was done with: waiting in line is part of it.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

SUCCESS = b"HTTP/1.1 2"


def requests_of(host: str) -> list[bytes]:
    """Return the requests to send, whole, headers included."""
    folder, count = Path(os.environ["BENCH_BODIES"]), int(os.environ["BENCH_COUNT"])
    head = (
        f"POST {os.environ['BENCH_PATH']} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {os.environ['BENCH_KEY']}\r\nContent-Length: "
    ).encode()
    bodies = ((folder / f"{n}.json").read_bytes() for n in range(count))
    return [head + str(len(body)).encode() + b"\r\n\r\n" + body for body in bodies]


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bool:
    """Send one request and read its whole answer; say whether it was a success."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.partition(b":")[2]))
    return head.startswith(SUCCESS)


async def due_times(first: float, every: float, ends_at: float) -> AsyncIterator[float]:
    """Give the moments at which a connection's requests are due, each when it has come; without `every`, now and now again."""
    due = first
    while (now := time.monotonic()) < ends_at:
        if not every:
            due = now
        elif due > now:
            await asyncio.sleep(due - now)
        yield due
        due += every


async def connection(url: str, requests: list[bytes], number: int, due: AsyncIterator[float]) -> tuple[list[float], int]:
    """Post over one connection until the time is up; return the latencies and how many answers were no success."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    latencies, refused, n = [], 0, number * 7
    async for began in due:
        refused += not await exchange(reader, writer, requests[n % len(requests)])
        latencies.append(time.monotonic() - began)
        n += 1
    writer.close()
    return latencies, refused


async def run(url: str, connections: int, seconds: float, rate: float = 0) -> dict[str, float]:
    """Post over all connections; return what was seen."""
    requests = requests_of(urlsplit(url).netloc)
    began = time.monotonic()
    every = connections / rate if rate else 0
    due = (due_times(began + n * every / connections, every, began + seconds) for n in range(connections))
    results = await asyncio.gather(*(connection(url, requests, n, each) for n, each in enumerate(due)))
    took = time.monotonic() - began
    latencies = sorted(latency for each, _ in results for latency in each)
    return {
        "requests": len(latencies),
        "seconds": took,
        "refused": sum(refused for _, refused in results),
        "broken": 0,
        "p50_ms": 1000 * latencies[len(latencies) // 2],
        "p99_ms": 1000 * latencies[len(latencies) * 99 // 100],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[3:])))))
