"""Rules, durable and exactly once on PostgreSQL with twenty journeys, against one ORM transaction an event."""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench import histogram
from bench.figures import CannotMeasureError, Figure, ratio_of
from bench.kafka_topics import append, records_in
from bench.processes import povod, processor_seconds, running
from bench.progress import Span, count, watch
from bench.rounds import in_turns
from bench.stack import EVENTS, Stack, second_database, stack
from bench.workload import EVENTS_PER_CUSTOMER, records, write_twenty_journeys
from deploy.local.ports import free_port

GOAL = 40
CUSTOMERS = 5_000
BATCH_SECONDS = "povod_rules_batch_seconds"


class Round(NamedTuple):
    """One run of the subject."""

    span: Span
    p99_ms: float


def figures(seconds: float, rounds: int) -> Iterator[Figure]:
    """Take the figure."""
    rules = write_twenty_journeys(Path(tempfile.mkdtemp(prefix="povod-bench-rules-")) / "rules")
    taken: list[Round] = []
    with stack(rules) as servers, second_database(servers) as orm_url:

        def subject() -> float:
            taken.append(_round(servers, len(taken)))
            return taken[-1].span.rate

        series = in_turns({"orm": lambda: _orm_rate(orm_url, seconds), "povod": subject}, rounds)
        shares = _shares(servers, len(taken) * CUSTOMERS * EVENTS_PER_CUSTOMER)
    p99 = statistics.median(each.p99_ms for each in taken)
    cost = statistics.median(each.span.processor_micros for each in taken)
    yield ratio_of("rules_vs_orm_per_event", GOAL, series["povod"], series["orm"], batch_p99_ms=p99, processor_us_an_event=cost, **shares)


def _round(servers: Stack, number: int) -> Round:
    """Fill the topic, then start `povod rules` and watch it work that off: its documents are not in memory yet."""
    before = asyncio.run(records_in(servers.kafka, EVENTS))
    asyncio.run(append(servers.kafka, EVENTS, records(f"r{number}", CUSTOMERS, seed=number)))
    end = asyncio.run(records_in(servers.kafka, EVENTS))
    port, output = free_port(), servers.folder / "rules.log"
    environment = {**servers.environment, "POVOD_TELEMETRY__METRICS_PORT": str(port)}
    with running(povod("rules"), environment, output) as process:
        span = asyncio.run(watch(servers.database_url, before, end, lambda: processor_seconds(process)))
        exposition = histogram.fetch(port)
    return Round(span, 1000 * histogram.percentile(exposition, BATCH_SECONDS, 0.99))


def _orm_rate(url: str, seconds: float) -> float:
    command = (sys.executable, "-m", "bench.baselines.orm", url, str(seconds))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    if done.returncode:
        raise CannotMeasureError(f"the baseline failed: {done.stderr.strip()[-500:]}")
    seen = json.loads(done.stdout)
    rate: float = seen["events"] / seen["seconds"]
    return rate


def _shares(servers: Stack, events: int) -> dict[str, float]:
    """Return rows an event, after making sure that every event was decided: what the baseline writes must be no more."""
    read = {
        name: asyncio.run(count(servers.database_url, query))
        for name, query in (
            ("history", "SELECT count(*) FROM history WHERE kind = 'event'"),
            ("decisions", "SELECT count(*) FROM decisions"),
            ("messages", "SELECT count(*) FROM decisions WHERE verdict = 'sent'"),
        )
    }
    if read["history"] < events:
        raise CannotMeasureError(f"{events} events went in, {read['history']} are in the history")
    return {f"{name}_an_event": number / events for name, number in read.items()}
