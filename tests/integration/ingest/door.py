"""A running ingest service for tests: uvicorn on a real port, the embedded log, a migrated SQLite database."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from services.consent.tokens import TokenSigner
from services.contracts.catalogue import load_catalogue
from services.contracts.codec import decode_event
from services.contracts.events import Event
from services.ingest.app import IngestApp, create_app
from services.ingest.keyring import KeyRing
from services.ingest.keys import create_key
from services.ingest.parts import IngestParts
from services.ingest.server import IngestServer, make_server
from services.runtime.clock import FrozenClock
from services.runtime.database import Database
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.eventlog.embedded_reader import Wanted
from services.runtime.eventlog.port import Record, TopicPartition
from services.runtime.health import HealthState
from services.runtime.settings import IngestSettings
from services.runtime.telemetry.metrics import Metrics, process_metrics

TOPICS = {"povod.events": 4, "povod.events.dlq": 1, "povod.receipts": 2}
ACK_TIMEOUT = timedelta(milliseconds=300)
BODY_DEADLINE = timedelta(milliseconds=300)
REQUEST_DEADLINE = timedelta(milliseconds=600)


@dataclass
class Door:
    """A running service, and what a test needs to look behind it."""

    client: httpx.AsyncClient
    server: IngestServer
    log: EmbeddedEventLog
    database: Database
    keys: KeyRing
    signer: TokenSigner
    metrics: Metrics
    clock: FrozenClock
    folder: Path
    key: str = ""
    browser_key: str = ""
    wakes: list[str] = field(default_factory=list)

    async def post(self, content: Any, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Post a body to the events door with the server key."""
        return await self.client.post("/v1/events", content=content, headers={"authorization": f"Bearer {self.key}", **(headers or {})})

    async def records(self, topic: str = "povod.events") -> list[Record]:
        """Return everything that is in a topic, partition by partition."""
        partitions = [TopicPartition(topic, number) for number in range(TOPICS[topic])]
        wanted = [Wanted(partition, 0, self.log.span(partition)[1]) for partition in partitions]
        return [record for share in await self.log.fetch(wanted, 1_000_000) for record in share]

    async def events(self) -> list[Event]:
        """Return every event that is in the log."""
        return [decode_event(record.value) for record in await self.records()]

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Open a connection for bytes of one's own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port, limit=4_000_000)
        try:
            yield reader, writer
        finally:
            writer.close()

    def in_flight(self) -> int:
        """Return the bytes of requests that are not answered yet."""
        app = self.server.config.app
        assert isinstance(app, IngestApp)
        return app.intake.in_flight.held

    @asynccontextmanager
    async def stuck_disk(self) -> AsyncIterator[None]:
        """Hold the log's file, so that nothing can be written to it."""
        holder = sqlite3.connect(self.folder / "log.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            holder.execute("ROLLBACK")
            holder.close()


async def until(condition: Callable[[], bool]) -> None:
    """Let others run until the condition holds: what is waited for has no event to wait on."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.005)


@asynccontextmanager
async def open_door(
    folder: Path, database_url: str, clock: FrozenClock, *, pages_database: Database | None = None, **settings: Any
) -> AsyncIterator[Door]:
    """Run the service; `settings` are those of ingest. The unsubscribe page writes to `pages_database` where one is given."""
    database = Database(database_url)
    log = EmbeddedEventLog(folder / "log.db", TOPICS, clock, ack_timeout=ACK_TIMEOUT)
    await log.start()
    keys = KeyRing(database, clock, link_secrets=["a secret that is long enough for tests"])
    wakes: list[str] = []
    parts = IngestParts(
        log=log,
        database=pages_database or database,
        keys=keys,
        clock=clock,
        settings=IngestSettings(port=0, **settings),
        signer=TokenSigner(["a secret that is long enough for tests"]),
        metrics=process_metrics(),
        catalogue=load_catalogue(),
        health=HealthState({"log": log.is_healthy}),
        on_unsubscribed=lambda: wakes.append("outbox"),
    )
    key = await create_key(database, "shop", "server", clock.now())
    browser_key = await create_key(database, "web", "browser", clock.now())
    await keys.refresh()
    server = make_server(create_app(parts, body_deadline=BODY_DEADLINE), parts.settings, request_deadline=REQUEST_DEADLINE)
    stop = asyncio.Event()
    running = asyncio.create_task(server.run(stop))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=20) as client:
            yield Door(client, server, log, database, keys, parts.signer, parts.metrics, clock, folder, key, browser_key, wakes)
    finally:
        stop.set()
        await running
        await log.close()
        await database.close()
