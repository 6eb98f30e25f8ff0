"""Ingest: batches of a hundred against bare Kafka and against stock FastAPI; single events against a no-op application."""

import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from bench.figures import CannotMeasureError, Figure, ratio_of
from bench.http_load import Load, Posted, post, write_bodies
from bench.kafka_topics import create_baseline_topic, records_in
from bench.processes import povod, running, uvicorn, wait_until_ready
from bench.rounds import in_turns
from bench.samples import BATCH, batch_bodies, single_bodies
from bench.stack import BASELINE_TOPIC, EVENTS, Stack, stack

CONNECTIONS = 16
"""Clients at once in the figures of batches: as many hundreds are under way at a moment, with Povod and with either baseline."""
SINGLE_CONNECTIONS = 256
"""Many clients with one event each: what batching over requests is for. The no-op application gets as many."""
BODIES = 64


def batches(seconds: float, rounds: int) -> Iterator[Figure]:
    """Take both figures of batches: they share the subject's rounds."""
    with stack() as servers, ExitStack() as processes:
        asyncio.run(create_baseline_topic(servers.kafka, EVENTS, BASELINE_TOPIC))
        environment = {"BENCH_KAFKA": servers.kafka, "BENCH_TOPIC": BASELINE_TOPIC}
        stock = processes.enter_context(uvicorn("bench.baselines.stock_fastapi:app", environment, servers.folder / "stock.log"))
        ingest = processes.enter_context(running_ingest(servers))
        series = in_turns(
            {
                "bare": lambda: bare_rate(servers.kafka, seconds),
                "povod": lambda: acknowledged_rate(servers, ingest, seconds),
                "stock": lambda: BATCH * _post(servers, stock, batch_bodies(BODIES), CONNECTIONS, seconds).rate,
            },
            rounds,
        )
    yield ratio_of("ingest_batch_vs_aiokafka_send", 1, series["povod"], series["bare"])
    yield ratio_of("ingest_batch_vs_stock_fastapi", 4, series["povod"], series["stock"])


def singles(seconds: float, rounds: int) -> Iterator[Figure]:
    """Take the figure of single events."""
    p99: list[float] = []
    with stack() as servers, ExitStack() as processes:
        noop = processes.enter_context(uvicorn("bench.baselines.noop_asgi:app", {}, servers.folder / "noop.log"))
        ingest = processes.enter_context(running_ingest(servers))

        def measure(url: str) -> Posted:
            return _post(servers, url, single_bodies(BODIES * BATCH), SINGLE_CONNECTIONS, seconds)

        def subject() -> float:
            posted = measure(ingest)
            p99.append(posted.p99_ms)
            return posted.rate

        series = in_turns({"noop": lambda: measure(noop).rate, "povod": subject}, rounds)
    yield ratio_of("ingest_single_vs_noop_asgi", 0.5, series["povod"], series["noop"], p99_ms=statistics.median(p99))


@contextmanager
def running_ingest(servers: Stack) -> Iterator[str]:
    """Run `povod ingest` for the length of the block; give its address."""
    with ingest_process(servers):
        yield servers.base_url


@contextmanager
def ingest_process(servers: Stack) -> Iterator[subprocess.Popen[bytes]]:
    """Run `povod ingest` for the length of the block; give its process."""
    output = servers.folder / "ingest.log"
    with running(povod("ingest"), servers.environment, output) as process:
        wait_until_ready(servers.base_url, process, output)
        yield process


def acknowledged_rate(servers: Stack, url: str, seconds: float) -> float:
    """Return the rate of acknowledged events, after making sure that each of them is in the log."""
    before = asyncio.run(records_in(servers.kafka, EVENTS))
    posted = _post(servers, url, batch_bodies(BODIES), CONNECTIONS, seconds)
    stored = asyncio.run(records_in(servers.kafka, EVENTS)) - before
    if stored < posted.requests * BATCH:
        raise CannotMeasureError(f"{posted.requests * BATCH} events were acknowledged and {stored} are in the log")
    return BATCH * posted.rate


def bare_rate(kafka: str, seconds: float) -> float:
    """Return the rate of `aiokafka.send` in a process of its own."""
    command = (sys.executable, "-m", "bench.baselines.bare_kafka", kafka, BASELINE_TOPIC, str(CONNECTIONS), str(seconds))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    if done.returncode:
        raise CannotMeasureError(f"aiokafka.send failed: {done.stderr.strip()[-500:]}")
    seen = json.loads(done.stdout)
    rate: float = seen["records"] / seen["seconds"]
    return rate


def load_of(servers: Stack, base_url: str, bodies: Iterable[bytes], connections: int, path: str = "/v1/events") -> Load:
    """Return a load; its bodies are written once for each path and number of connections."""
    folder = servers.folder / f"bodies-{path.replace('/', '-')}-{connections}"
    count = len(list(folder.iterdir())) if folder.exists() else write_bodies(folder, bodies)
    return Load(f"{base_url}{path}", servers.key, folder, count, connections)


def _post(servers: Stack, base_url: str, bodies: Iterable[bytes], connections: int, seconds: float) -> Posted:
    return post(load_of(servers, base_url, bodies, connections), seconds)
