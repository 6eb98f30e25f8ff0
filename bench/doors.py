"""The doors beside each other, latency below full load, what idle and hostile clients cost."""

import resource
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.attacks import attack
from bench.figures import CannotMeasureError, Figure, ratio_of
from bench.http_load import Posted, post
from bench.ingest import BODIES, CONNECTIONS, SINGLE_CONNECTIONS, ingest_process, load_of, running_ingest
from bench.rounds import in_turns
from bench.samples import BATCH, batch_bodies, segment_bodies, single_bodies
from bench.stack import Stack, stack

IDLE = 10_000
MOST_IDLE_MB = 200
MOST_P99_MS = 50
MOST_ATTACK_MB = 50


def segment(seconds: float, rounds: int) -> Iterator[Figure]:
    """Take the figure of Segment's door: the same events in batches of a hundred at either."""
    with stack() as servers, running_ingest(servers) as ingest:
        own = load_of(servers, ingest, batch_bodies(BODIES), CONNECTIONS)
        theirs = load_of(servers, ingest, segment_bodies(BODIES), CONNECTIONS, "/v1/batch")
        measure = {"own": lambda: BATCH * post(own, seconds).rate, "segment": lambda: BATCH * post(theirs, seconds).rate}
        series = in_turns(measure, rounds)
    yield ratio_of("ingest_segment_vs_own_door", 0.8, series["segment"], series["own"])


def latency(seconds: float, rounds: int) -> Iterator[Figure]:
    """Take the p99 of single events at half the rate that the door can take, measured just before."""
    with stack() as servers, running_ingest(servers) as ingest:
        full = load_of(servers, ingest, single_bodies(BODIES * BATCH), SINGLE_CONNECTIONS)
        rates = [post(full, seconds).rate for _ in range(rounds)]
        half = statistics.median(rates) / 2
        taken = [post(full, seconds, half) for _ in range(rounds)]
    p99 = statistics.median(each.p99_ms for each in taken)
    p50 = statistics.median(each.p50_ms for each in taken)
    yield Figure("ingest_p99_at_half_load", MOST_P99_MS / p99, 1, {"p99_ms": p99, "p50_ms": p50, "wanted_ms": MOST_P99_MS, "rate": half})


def idle() -> Iterator[Figure]:
    """Take the memory that ten thousand connections cost which were used once and say nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < IDLE + 1_000:
        raise CannotMeasureError(f"{IDLE} connections need more open files than the {hard} allowed: ulimit -n")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with stack() as servers, ingest_process(servers) as process, ExitStack() as clients:
            post(load_of(servers, servers.base_url, single_bodies(BODIES), CONNECTIONS), 1)  # what is made at first use is no connection's
            before = megabytes(process)
            for _ in range(IDLE):
                clients.enter_context(socket.create_connection(("127.0.0.1", servers.port), 10))
            time.sleep(1)  # the last ones are accepted
            cost = max(megabytes(process) - before, 0.1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    yield Figure("ingest_idle_connections", MOST_IDLE_MB / cost, 1, {"megabytes": cost, "wanted": MOST_IDLE_MB, "connections": IDLE})


def under_attack(seconds: float, rounds: int) -> Iterator[Figure]:
    """Take what hostile clients cost the others: their p99 at half load, and the process's memory."""
    with stack() as servers, ingest_process(servers) as process:
        load = load_of(servers, servers.base_url, single_bodies(BODIES * BATCH), SINGLE_CONNECTIONS)
        half = post(load, seconds).rate / 2
        measure = {
            "calm": lambda: post(load, seconds, half).p99_ms,
            "attacked": lambda: _attacked(servers, lambda: post(load, seconds, half)).p99_ms,
        }
        measure["attacked"]()  # buffers grow once
        before = megabytes(process)
        series = in_turns(measure, rounds)
        grown = max(megabytes(process) - before, 0.1)
    calm, attacked = statistics.median(series["calm"]), statistics.median(series["attacked"])
    yield Figure("ingest_p99_under_attack", 2 * calm / attacked, 1, {"calm_ms": calm, "attacked_ms": attacked, "rate": half})
    yield Figure("ingest_memory_under_attack", MOST_ATTACK_MB / grown, 1, {"megabytes": grown, "wanted": MOST_ATTACK_MB})


def _attacked(servers: Stack, measure: Callable[[], Posted]) -> Posted:
    stop = threading.Event()
    attacker = threading.Thread(target=attack, args=(servers.port, servers.key, stop))
    attacker.start()
    try:
        return measure()
    finally:
        stop.set()
        attacker.join()


def megabytes(process: subprocess.Popen[bytes]) -> float:
    """Return a process's resident memory (Linux)."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
