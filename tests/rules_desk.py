"""The rules service on a database and an embedded log, with a frozen clock: what tests of the worker stand on."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import text

from services.commands.draining import Drain
from services.contracts.codec import EVENT_HEADERS, decode_command, encode_event, key_of
from services.contracts.events import Event
from services.contracts.messages import Command
from services.dispatch.rendering import check_template
from services.rules.activation import apply
from services.rules.service import RulesService
from services.runtime.clock import FrozenClock
from services.runtime.database import Database
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.eventlog.port import Batch, EventLog, OutgoingRecord, TopicPartition
from services.runtime.settings import RulesSettings
from services.runtime.telemetry.metrics import Metrics, process_metrics

EVENTS = "povod.events"
DISPATCH = "povod.dispatch"
PARTITIONS = 4
POLL = timedelta(milliseconds=5)
JOURNEYS = {
    "cart": """\
journey: cart
trigger: {event: product.added}
key: event.session_id
reentry: never
exit_on: [order.completed]
steps:
  - wait: 1h
  - send: note
""",
    "thanks": "journey: thanks\ntrigger: {event: order.completed}\nkey: event.order_id\nsteps: [{send: note, kind: service}]\n",
}
POLICY = "caps: [{max: 3, per: 7d, window: rolling, scope: all}]\nconsent: {email: opt_in}\n"


class InputRow(NamedTuple):
    """A row of the history."""

    customer: str
    seq: int
    kind: str
    input_id: str


class LedgerRow(NamedTuple):
    """A row of the decision ledger."""

    customer: str
    seq: int
    n: int
    journey: str
    key: str
    step: str
    input_id: str
    verdict: str
    reason: str


def lay_out(folder: Path, journeys: Mapping[str, str] = JOURNEYS, policy: str = POLICY) -> tuple[Path, Path]:
    """Write a rule set and its one template; return the folders of both."""
    files = {f"rules/journeys/{name}.yaml": content for name, content in journeys.items()}
    files |= {"rules/policy.yaml": policy, "templates/note/email/en/body.txt": "Hello", "templates/note/email/en/subject.txt": "Hello"}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return folder / "rules", folder / "templates"


class Desk:
    """A started log and a migrated database with the rule set of `lay_out` active."""

    def __init__(self, log: EmbeddedEventLog, database: Database, clock: FrozenClock, folder: Path) -> None:
        self.log = log
        self.database = database
        self.clock = clock
        self.folder = folder

    async def apply(self, journeys: Mapping[str, str] = JOURNEYS, policy: str = POLICY) -> str:
        """Make a rule set active."""
        return await apply(self.database, *lay_out(self.folder, journeys, policy), self.clock.now(), "a test", check_template)

    async def append(self, events: Iterable[Event]) -> None:
        """Put events into the log, each where it belongs."""
        await self.log.append(EVENTS, [OutgoingRecord(key_of(event.subject), encode_event(event), EVENT_HEADERS) for event in events])

    async def append_raw(self, value: bytes, partition: int, key: bytes = b"?") -> None:
        """Put a record into a partition, whatever it is."""
        await self.log.append(EVENTS, [OutgoingRecord(key, value, partition=partition)])

    def service(
        self, *, batch: int = 1_000, log: EventLog | None = None, database: Database | None = None, **settings: Any
    ) -> RulesService:
        """Return a service, not yet running."""
        chosen = RulesSettings(batch=batch, **settings)
        return RulesService(
            log or self.log, database or self.database, self.clock, chosen, process_metrics(), poll_timeout=POLL, owner="desk"
        )

    @asynccontextmanager
    async def running(self, service: RulesService | None = None, **settings: Any) -> AsyncIterator[RulesService]:
        """Run a service inside the block, then drain it; what it raises is raised."""
        running = service or self.service(**settings)
        stop = asyncio.Event()
        task = asyncio.create_task(running.run(stop))
        try:
            yield running
        finally:
            stop.set()
            await asyncio.wait_for(task, 30)

    async def drained(self, seconds: float = 30) -> None:
        """Wait until everything that the clock allows is decided and published."""
        async with asyncio.timeout(seconds):
            await Drain(self.database, self.log, [EVENTS]).wait(self.clock.now(), poll_seconds=0.005)

    async def work_off(self, **settings: Any) -> None:
        """Run a service until everything is decided and published."""
        async with self.running(**settings):
            await self.drained()

    async def history(self) -> list[InputRow]:
        """Return all inputs, by customer in their order."""
        return sorted(InputRow(*row) for row in await self.rows("SELECT customer, seq, kind, input_id FROM history"))

    async def ledger(self) -> list[LedgerRow]:
        """Return all decisions, by customer in their order."""
        query = "SELECT customer, seq, n, journey, key, step, input_id, verdict, reason FROM decisions"
        return sorted(LedgerRow(*row) for row in await self.rows(query))

    async def rows(self, query: str) -> Sequence[Sequence[Any]]:
        """Return the rows of a query."""
        async with self.database.reading() as connection:
            return [tuple(row) for row in await connection.execute(text(query))]

    async def commands(self) -> dict[int, list[Command]]:
        """Return what was published for dispatch, by partition, in order."""
        return {number: [decode_command(value) for value in values] for number, values in (await self.values(DISPATCH)).items()}

    async def values(self, topic: str) -> dict[int, list[bytes]]:
        """Return the values of a topic's records, by partition, in order."""
        reader = self.log.reader("a test", [topic], _FromStart())
        await reader.start()
        found: dict[int, list[bytes]] = {}
        caught_up: set[int] = set()
        while len(caught_up) < PARTITIONS:
            for partition, batch in (await reader.poll(max_records=10_000, timeout=POLL)).items():
                found.setdefault(partition.partition, []).extend(record.value for record in batch.records)
                caught_up |= {partition.partition} if is_caught_up(batch) else set()
        await reader.close()
        return found


def is_caught_up(batch: Batch) -> bool:
    """Say whether nothing lies behind the batch."""
    return batch.caught_up_at is not None


class _FromStart:
    async def on_assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:  # noqa: ARG002 - the port's
        return


@asynccontextmanager
async def opened_desk(folder: Path, database: Database, now: datetime) -> AsyncIterator[Desk]:
    """Open a log in the folder and put a desk on it; the rule set is active."""
    clock = FrozenClock(now)
    log = EmbeddedEventLog(folder / "log.db", {EVENTS: PARTITIONS, DISPATCH: PARTITIONS}, clock)
    await log.start()
    desk = Desk(log, database, clock, folder)
    await desk.apply()
    try:
        yield desk
    finally:
        await log.close()


def metric(metrics: Metrics, sample: str, **labels: str) -> float:
    """Return a counter's value, 0 where it was never touched."""
    return metrics.value(sample, **labels) or 0.0
