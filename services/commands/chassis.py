"""What every process stands on, opened once and closed in order: settings, clock, log, database, metrics, link signer."""

import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property

import structlog

from services.commands.opening import data_folder, link_secrets, open_database
from services.consent.tokens import TokenSigner
from services.runtime import migrate
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.eventlog.opening import open_log
from services.runtime.eventlog.port import EventLog
from services.runtime.settings import Settings
from services.runtime.telemetry.logs import configure_logging
from services.runtime.telemetry.metrics import Metrics, process_metrics

_log = structlog.get_logger()
ONLY_PROCESS = "serve"
"""The name of the one process on an embedded log."""


@dataclass(frozen=True)
class Chassis:
    """The collaborators that all services of a process share. `name` tells this process from its siblings."""

    settings: Settings
    clock: Clock
    log: EventLog
    database: Database
    metrics: Metrics
    name: str

    @cached_property
    def signer(self) -> TokenSigner:
        """What signs links; made when first asked for, so that rules, which sign none, need no link secret."""
        return TokenSigner(link_secrets(self.settings))


@asynccontextmanager
async def opened(settings: Settings, clock: Clock) -> AsyncIterator[Chassis]:
    """Open what the settings name. The embedded engine is made ready by itself: folder, migrations, topics.

    Raises `Fatal` where something can't be used at all, `Retryable` where it is not there now.
    """
    configure_logging(settings.telemetry, stream=sys.stderr)
    database = open_database(settings)
    log = open_log(settings.log, settings.data, clock)
    try:
        if settings.log.kind == "embedded":
            data_folder(settings)
            if revision := await migrate.upgrade(database):
                _log.info("database upgraded", action="database.upgraded", revision=revision)
        await log.start()
        yield Chassis(settings, clock, log, database, process_metrics(), process_name(settings))
    finally:
        await log.close()
        await database.close()


def process_name(settings: Settings) -> str:
    """Return the instance's name from the settings, else one of this host and process.

    The embedded log's lock file lets one process in: there the name is always the same, and what a killed process held is given up
    when the next one starts.
    """
    if settings.log.kind == "embedded":
        return settings.log.instance or ONLY_PROCESS
    return settings.log.instance or f"{socket.gethostname()}-{os.getpid()}"
