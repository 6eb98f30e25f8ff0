"""The whole path: an event over HTTP to a mail in a sink, on Kafka and PostgreSQL, one message an event, each service a process."""

import asyncio
import json
import smtplib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from bench.figures import CannotMeasureError, Figure
from bench.ingest import running_ingest
from bench.processes import povod, running, wait_until_listening
from bench.progress import count
from bench.stack import Stack, stack
from bench.workload import registration, write_one_message_an_event
from deploy.local.ports import free_port

GOAL = 500
"""Events a second."""
EVENTS = 5_000
BATCH = 20
CLIENTS = 4
PATIENCE = 120.0
_STAGES = {
    "rules": "SELECT max(decided_at) - min(decided_at) FROM decisions WHERE customer LIKE '{prefix}-%'",
    "dispatch": "SELECT max(ended_at) - min(ended_at) FROM deliveries WHERE customer LIKE '{prefix}-%' AND state = 'sent'",
}


class Seen(NamedTuple):
    """What the sink says: mails taken, when the first and the last came."""

    mails: int
    first_at: float
    last_at: float


def figures(rounds: int) -> Iterator[Figure]:
    """Take the figure: every round posts new customers and waits for the last of their mails."""
    rules = write_one_message_an_event(Path(tempfile.mkdtemp(prefix="povod-bench-rules-")) / "rules")
    smtp = free_port()
    with stack(rules, DISPATCH__SMTP__PORT=str(smtp)) as servers, ExitStack() as processes:
        processes.enter_context(_running_sink(servers, smtp))
        base_url = processes.enter_context(running_ingest(servers))
        for service in ("rules", "dispatch"):
            processes.enter_context(running(povod(service), servers.environment, servers.folder / f"{service}.log"))
        _round(servers, base_url, smtp, "warm", 200)
        taken = [_round(servers, base_url, smtp, f"r{n}", EVENTS) for n in range(rounds)]
    rates = {stage: statistics.median(each[stage] for each in taken) for stage in taken[0]}
    yield Figure("whole_path_http_to_mail", rates["whole"] / GOAL, 1, {**rates, "wanted": GOAL})


def _round(servers: Stack, base_url: str, smtp: int, prefix: str, events: int) -> dict[str, float]:
    """Post the events, wait for as many mails; return the rate of each stage."""
    before = seen_by_sink(smtp).mails
    began = time.monotonic()
    asyncio.run(_post(base_url, servers.key, prefix, events))
    posted = time.monotonic() - began
    seen = _await_mails(smtp, before + events)
    spans = {stage: _span(servers, query, prefix) for stage, query in _STAGES.items()}
    return {"whole": events / (seen.last_at - began), "ingest": events / posted, **_rates(spans, events)}


def _rates(spans: Mapping[str, float], events: int) -> dict[str, float]:
    return {stage: events / span for stage, span in spans.items() if span}


def _span(servers: Stack, query: str, prefix: str) -> float:
    return asyncio.run(count(servers.database_url, query.format(prefix=prefix))) / 1e6


async def _post(base_url: str, key: str, prefix: str, events: int) -> None:
    """Post registrations over a few connections, a few events a request."""
    numbers = iter(range(0, events, BATCH))
    async with httpx.AsyncClient(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:

        async def work() -> None:
            for first in numbers:
                batch = [_event(f"{prefix}-{n:06}") for n in range(first, min(first + BATCH, events))]
                answer = await client.post("/v1/events", content=json.dumps(batch), headers={"Content-Type": "application/json"})
                if answer.status_code != httpx.codes.OK:
                    raise CannotMeasureError(f"ingest answered {answer.status_code}: {answer.text[:300]}")

        await asyncio.gather(*(work() for _ in range(CLIENTS)))


def _event(customer: str) -> dict[str, object]:
    return {"id": f"{customer}-r", "type": "customer.registered", "customer": customer, "data": registration(customer)}


def _await_mails(smtp: int, wanted: int) -> Seen:
    deadline = time.monotonic() + PATIENCE
    while (seen := seen_by_sink(smtp)).mails < wanted:
        if time.monotonic() > deadline:
            raise CannotMeasureError(f"{seen.mails} of {wanted} mails came in {PATIENCE:g} s")
        time.sleep(0.05)
    return seen


def seen_by_sink(smtp: int) -> Seen:
    """Ask the sink what it has taken."""
    with smtplib.SMTP("127.0.0.1", smtp, timeout=10) as connection:
        _, answer = connection.docmd("XCOUNT")
    mails, first_at, last_at = answer.split()
    return Seen(int(mails), float(first_at), float(last_at))


@contextmanager
def _running_sink(servers: Stack, port: int) -> Iterator[None]:
    output = servers.folder / "sink.log"
    with running((sys.executable, "-m", "bench.smtp_sink", str(port)), {}, output) as process:
        wait_until_listening(port, process, output)
        yield
