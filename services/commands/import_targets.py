"""Where `povod import` puts events: the log of the settings, a running ingest, or nowhere."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from services.commands.opening import data_folder
from services.commands.processes import patient
from services.contracts.catalogue import load_catalogue
from services.contracts.errors import Fatal
from services.ingest.files.targets import DryRun, LogTarget, Target
from services.ingest.judge import Judge
from services.runtime.clock import SystemClock
from services.runtime.eventlog.opening import open_log
from services.runtime.eventlog.port import EventLog
from services.runtime.settings import Settings
from services.runtime.telemetry.metrics import process_metrics

_REQUEST_SECONDS = 30.0


class Destination(NamedTuple):
    """What was asked for: the source's name, and an ingest's address and key (no address: the log itself)."""

    key_name: str
    url: str | None
    key: str
    dry_run: bool

    def named(self, settings: Settings) -> list[str]:
        """Return what tells this destination from another."""
        return [self.key_name, self.url or f"{settings.log.kind} {settings.log.bootstrap}"]


@asynccontextmanager
async def opened_target(settings: Settings, destination: Destination) -> AsyncIterator[Target]:
    """Open it. Raises `Fatal` where the embedded log belongs to a running process."""
    clock = SystemClock()
    judging = DryRun(Judge(load_catalogue(), settings.ingest.max_event), clock, destination.key_name, settings.ingest.phone_region)
    if destination.dry_run:
        yield judging
    elif destination.url:
        async with _posting(destination.url, destination.key) as target:
            yield target
    else:
        if settings.log.kind == "embedded":
            data_folder(settings)
        log = open_log(patient(settings).log, settings.data, clock)
        try:
            await _start(log)
            yield LogTarget(log, judging, process_metrics(), clock, destination.key_name)
        finally:
            await log.close()


async def _start(log: EventLog) -> None:
    try:
        await log.start()
    except Fatal as error:
        raise Fatal(f"{error}; or import through it: --url http://127.0.0.1:8080 --key KEY") from error


@asynccontextmanager
async def _posting(url: str, key: str) -> AsyncIterator[Target]:
    import httpx

    from services.commands.import_http import HttpTarget

    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=_REQUEST_SECONDS) as http:
        yield HttpTarget(http)
