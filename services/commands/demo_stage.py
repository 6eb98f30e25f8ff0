"""The demo's stage: all three services in this process, with stand-ins for every provider, on a data folder of its own."""

import asyncio
import dataclasses
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from services.commands.chassis import Chassis, opened
from services.commands.draining import Drain
from services.commands.processes import dispatch_services, health_of, ingest_services, relays, rules_services
from services.commands.stepping import Stepper
from services.contracts.errors import Rejected
from services.contracts.resources import resource
from services.contracts.topics import load_topics, partitions_of
from services.dispatch.rendering import check_template
from services.dispatch.standins.sms_gateway import SmsGateway
from services.dispatch.standins.smtp_inbox import SmtpInbox
from services.dispatch.standins.telegram_api import TelegramApi
from services.ingest.keys import create_key
from services.rules.activation import apply
from services.runtime.clock import FrozenClock
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.lifecycle import run_services
from services.runtime.settings import (
    DispatchSettings,
    IngestSettings,
    RulesSettings,
    Settings,
    SmtpSettings,
    TelemetrySettings,
)

MARK = "demo.json"
"""The file by which a demo's own folder is known: only such a folder is cleared for the next run."""
MAILS = "mails"
_POLL = timedelta(milliseconds=20)
_DRAIN_POLL_SECONDS = 0.02
_READY_SECONDS = 20.0
_READY_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Stage:
    """What the replay and the report need of the running services."""

    folder: Path
    chassis: Chassis
    clock: FrozenClock
    stepper: Stepper
    http: httpx.AsyncClient
    inbox: SmtpInbox
    gateway: SmsGateway
    telegram: TelegramApi


def clear_folder(folder: Path) -> None:
    """Make the folder empty; raises `Rejected` where it holds something that no demo has left there."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            raise Rejected(f"{folder} is not empty and no demo's: name another folder with --data", code="folder_in_use")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text(json.dumps({"made_by": "povod demo"}), encoding="utf-8")


@asynccontextmanager
async def staged(folder: Path, start: datetime) -> AsyncIterator[Stage]:
    """Run everything on an empty folder, the clock standing at `start`; stop it all in the end.

    Should a service fail, the block is cancelled and the failure raised.
    """
    inbox, gateway, telegram = SmtpInbox(folder / MAILS), SmsGateway(), TelegramApi()
    clock = FrozenClock(start)
    async with AsyncExitStack() as stack:
        for standin in (inbox, gateway, telegram):
            await standin.start()
            stack.push_async_callback(standin.stop)
        await _make_log(folder, clock)
        chassis = await stack.enter_async_context(opened(_settings(folder, inbox, gateway, telegram), clock))
        stage = await stack.enter_async_context(_serving(chassis, clock, folder, (inbox, gateway, telegram)))
        yield stage


async def _make_log(folder: Path, clock: FrozenClock) -> None:
    """Make the log with one partition a topic: on a stepped clock more of them only mean more transactions a step."""
    log = EmbeddedEventLog(folder / "log.db", dict.fromkeys(partitions_of(load_topics()), 1), clock)
    await log.start()
    await log.close()


@asynccontextmanager
async def _serving(
    chassis: Chassis, clock: FrozenClock, folder: Path, standins: tuple[SmtpInbox, SmsGateway, TelegramApi]
) -> AsyncIterator[Stage]:
    settings, database = chassis.settings, chassis.database
    await apply(database, settings.rules.directory, settings.rules.templates, clock.now(), "povod demo", check_template)
    key = await create_key(database, "demo shop", "server", clock.now())
    health = health_of(chassis)
    relay, publishing = relays(chassis)
    receiving, server = ingest_services(chassis, health, relay)
    address = f"http://127.0.0.1:{server.port}"
    # Only now is the port known that the unsubscribe links must name.
    public = dataclasses.replace(chassis, settings=_with_address(settings, address))
    services = [*publishing, *receiving, *rules_services(chassis, health, poll_timeout=_POLL), *dispatch_services(public, relay)]
    stop = asyncio.Event()
    stepper = Stepper(clock, database, Drain(database, chassis.log), poll_seconds=_DRAIN_POLL_SECONDS)
    async with asyncio.TaskGroup() as group, httpx.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {key}"}) as http:
        group.create_task(run_services(services, stop=stop, health=health))
        try:
            await _until_ready(http)
            yield Stage(folder, chassis, clock, stepper, http, *standins)
        finally:
            stop.set()


def _settings(folder: Path, inbox: SmtpInbox, gateway: SmsGateway, telegram: TelegramApi) -> Settings:
    """Return settings that know of nothing but this folder and these stand-ins, whatever the environment says."""
    smtp = SmtpSettings(port=inbox.port, sender="Lantern <hello@shop.example>")
    return Settings(
        data=folder,
        ingest=IngestSettings(port=0),
        rules=RulesSettings(directory=resource("rules"), templates=resource("templates")),
        dispatch=DispatchSettings(smtp=smtp, sms=gateway.settings(), telegram=telegram.settings()),
        telemetry=TelemetrySettings(log_level="error"),
    )


def _with_address(settings: Settings, address: str) -> Settings:
    return settings.model_copy(update={"ingest": settings.ingest.model_copy(update={"public_url": address})})


async def _until_ready(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(_READY_SECONDS):
        while (await http.get("/readyz")).status_code != httpx.codes.OK:  # noqa: ASYNC110 - another server's state can only be asked for
            await asyncio.sleep(_READY_POLL_SECONDS)
