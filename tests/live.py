"""All three services in this process on a stepped clock, over real HTTP, on either engine: what a test may post to and wait for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from pydantic import SecretStr

from services.commands.chassis import Chassis, opened
from services.commands.draining import Drain
from services.commands.processes import dispatch_services, health_of, ingest_services, relays, rules_services
from services.commands.stepping import Stepper
from services.contracts.topics import load_topics, partitions_of
from services.dispatch.rendering import check_template
from services.dispatch.standins.smtp_inbox import SmtpInbox
from services.ingest.keys import create_key
from services.rules.activation import apply
from services.runtime import migrate
from services.runtime.clock import FrozenClock
from services.runtime.lifecycle import run_services
from services.runtime.settings import DatabaseSettings, IngestSettings, LogSettings, SecuritySettings, Settings, TelemetrySettings

POLL = timedelta(milliseconds=5)
ENGINES = ("embedded", pytest.param("kafka", marks=[pytest.mark.kafka, pytest.mark.postgres]))
"""What a fixture of settings is parametrized by."""


async def engine_settings(request: pytest.FixtureRequest, folder: Path, **ingest: Any) -> Settings:
    """Return settings of the engine that the request's parameter names, on an empty log and database; `ingest` are more of ingest's."""
    settings = Settings(
        data=folder,
        ingest=IngestSettings(port=0, **ingest),
        telemetry=TelemetrySettings(log_level="error"),
        security=SecuritySettings(link_secret=SecretStr("0123456789abcdef0123456789abcdef")),
    )
    if request.param == "embedded":
        return settings
    bootstrap: str = request.getfixturevalue("kafka_bootstrap")
    url: str = request.getfixturevalue("postgres_url")
    await remove_topics(bootstrap)
    log = LogSettings(kind="kafka", bootstrap=bootstrap, linger=timedelta(0), fetch_wait=timedelta(milliseconds=5))
    return settings.model_copy(update={"log": log, "database": DatabaseSettings(url=SecretStr(url))})


@dataclass(frozen=True)
class Live:
    """Running services: `http` carries a write key, `stepper` moves the clock when everything is done."""

    chassis: Chassis
    stepper: Stepper
    http: httpx.AsyncClient


@asynccontextmanager
async def live(settings: Settings, clock: FrozenClock, rules: Path, templates: Path) -> AsyncIterator[Live]:
    """Run everything with this rule set active, mails going to a local inbox; stop it all in the end."""
    inbox = SmtpInbox(settings.data / "mails")
    await inbox.start()
    smtp = settings.dispatch.smtp.model_copy(update={"port": inbox.port})
    with_inbox = settings.model_copy(update={"dispatch": settings.dispatch.model_copy(update={"smtp": smtp})})
    try:
        async with opened(with_inbox, clock) as chassis:
            if settings.log.kind == "kafka":
                await migrate.upgrade(chassis.database)
                await chassis.log.ensure_topics(partitions_of(load_topics()))
            await apply(chassis.database, rules, templates, clock.now(), "a test", check_template)
            async with _running(chassis, clock) as running:
                yield running
    finally:
        await inbox.stop()


@asynccontextmanager
async def _running(chassis: Chassis, clock: FrozenClock) -> AsyncIterator[Live]:
    key = await create_key(chassis.database, "shop", "server", clock.now())
    health = health_of(chassis)
    relay, publishing = relays(chassis)
    receiving, server = ingest_services(chassis, health, relay)
    services = [*publishing, *receiving, *rules_services(chassis, health, poll_timeout=POLL), *dispatch_services(chassis, relay)]
    stop = asyncio.Event()
    stepper = Stepper(clock, chassis.database, Drain(chassis.database, chassis.log), poll_seconds=0.001)
    http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", headers={"Authorization": f"Bearer {key}"}, timeout=30)
    async with asyncio.TaskGroup() as group, http:
        group.create_task(run_services(services, stop=stop, health=health))
        try:
            await _until_ready(http)
            yield Live(chassis, stepper, http)
        finally:
            stop.set()


async def _until_ready(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        while (await http.get("/readyz")).status_code != httpx.codes.OK:  # noqa: ASYNC110 - another process's state can only be asked for
            await asyncio.sleep(0.02)


async def remove_topics(bootstrap: str) -> None:
    """Delete Povod's own topics, so that a run begins with empty ones."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        if old := [topic for topic in await admin.list_topics() if topic.startswith("povod.")]:
            await admin.delete_topics(old)
        while any(topic.startswith("povod.") for topic in await admin.list_topics()):  # noqa: ASYNC110 - another process's state can only be asked for
            await asyncio.sleep(0.1)
    finally:
        await admin.close()


async def post(running: Live, clock: FrozenClock, moment: datetime, events: list[dict[str, object]]) -> None:
    """Advance to `moment` by way of every timer, then post; raises `AssertionError` where one is not accepted."""
    await running.stepper.advance_to(moment)
    body = {"batch": events}
    while (answer := await running.http.post("/v1/events", json=body)).status_code == httpx.codes.SERVICE_UNAVAILABLE:  # noqa: ASYNC110 - as any client does
        await asyncio.sleep(0.05)
    assert answer.status_code == httpx.codes.OK, answer.text
    refused = [result for result in answer.json()["results"] if result["status"] == "rejected"]
    assert refused == []
    assert clock.now() == moment
