"""The composition roots: which services make up a process, put together once.

Each `..._services` imports its service when it is called, so that a process needs only its own extra.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from services.commands.chassis import Chassis, opened
from services.commands.opening import link_secrets
from services.contracts.catalogue import load_catalogue
from services.contracts.topics import load_topics
from services.runtime.clock import SystemClock
from services.runtime.dead_letter_relay import DeadLetterRelay
from services.runtime.event_outbox import EventOutboxRelay
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.eventlog.retention import Retention
from services.runtime.health import HealthState
from services.runtime.health_server import HealthServer
from services.runtime.lifecycle import Service, run_services, stopping_on_signals
from services.runtime.settings import DispatchSettings, Settings

if TYPE_CHECKING:
    from services.dispatch.channels.port import Sender
    from services.ingest.server import IngestServer

RULES_POLL = timedelta(milliseconds=200)
RELAY_PATIENCE = timedelta(seconds=10)
"""How long a relay waits for the log's acknowledgement before it publishes again."""
FIRST_LOOK = timedelta(seconds=2)
"""How long the first requests wait for the write keys to be read; after that, or where the database is not there, they get 503."""
_log = structlog.get_logger()


def health_of(chassis: Chassis) -> HealthState:
    """Return the readiness of a process: its log and its database answer."""
    return HealthState({"log": chassis.log.is_healthy, "database": chassis.database.is_healthy})


def ingest_health_of(chassis: Chassis) -> HealthState:
    """Return the readiness of a process that only takes events: it needs its log, and the write keys once, but no database after that."""
    return HealthState({"log": chassis.log.is_healthy})


def ingest_services(chassis: Chassis, health: HealthState, relay: EventOutboxRelay) -> "tuple[list[Service], IngestServer]":
    """Return the HTTP door's services and its server (whose `port` is bound)."""
    from services.ingest.app import create_app
    from services.ingest.bots import prepare
    from services.ingest.keyring import KeyRing
    from services.ingest.parts import IngestParts
    from services.ingest.server import make_server

    prepare()
    keys = KeyRing(chassis.database, chassis.clock, link_secrets=link_secrets(chassis.settings))
    parts = IngestParts(
        log=chassis.log,
        database=chassis.database,
        keys=keys,
        clock=chassis.clock,
        settings=chassis.settings.ingest,
        signer=chassis.signer,
        metrics=chassis.metrics,
        catalogue=load_catalogue(),
        health=health,
        on_unsubscribed=relay.wake,
    )
    health.wait_for("keys", lambda: None if keys.is_loaded else "the write keys are not loaded yet")
    server = make_server(create_app(parts), chassis.settings.ingest)

    async def serve(stop: asyncio.Event) -> None:
        """Answer nobody before the keys were read: a request that comes first waits in the listener's queue."""
        await keys.first_look(FIRST_LOOK)
        await server.run(stop)

    return [Service("keys", keys.run), Service("ingest", serve)], server


def rules_services(chassis: Chassis, health: HealthState, *, poll_timeout: timedelta = RULES_POLL) -> list[Service]:
    """Return the rules engine's services; the process is ready once a rule set is active and a partition assigned."""
    from services.rules.service import RulesService

    rules = RulesService(
        chassis.log,
        chassis.database,
        chassis.clock,
        chassis.settings.rules,
        chassis.metrics,
        poll_timeout=poll_timeout,
        owner=chassis.name,
    )
    health.wait_for("rules", rules.not_ready_because)
    return [Service("rules", rules.run)]


def dispatch_services(chassis: Chassis, relay: EventOutboxRelay) -> list[Service]:
    """Return the delivery's services. `relay` publishes the outcomes: it is woken where it runs in the same process."""
    from services.dispatch.service import DispatchService
    from services.dispatch.templates import StoredTemplates

    dispatch = DispatchService(
        chassis.log,
        chassis.database,
        chassis.clock,
        chassis.settings.dispatch,
        senders_of(chassis.settings.dispatch, chassis),
        StoredTemplates(chassis.database),
        chassis.signer,
        chassis.settings.ingest.public_url,
        chassis.metrics,
        worker=chassis.name,
        reported=relay.wake,
    )
    return [Service("dispatch", dispatch.run)]


def senders_of(settings: DispatchSettings, chassis: Chassis) -> "Sequence[Sender]":
    """Return a sender for each channel; one that says what is missing where a channel is not configured."""
    from services.contracts.ids import Channel
    from services.dispatch.channels.sms import SmsSender
    from services.dispatch.channels.smtp import SmtpSender
    from services.dispatch.channels.telegram import TelegramSender
    from services.dispatch.channels.unconfigured import UnconfiguredSender

    telegram_is_set = bool(settings.telegram.token.get_secret_value())
    return (
        SmtpSender(settings.smtp, chassis.clock),
        SmsSender(settings.sms) if settings.sms.url else UnconfiguredSender(Channel("sms"), "POVOD_DISPATCH__SMS__URL"),
        TelegramSender(settings.telegram)
        if telegram_is_set
        else UnconfiguredSender(Channel("telegram"), "POVOD_DISPATCH__TELEGRAM__TOKEN"),
    )


def relays(chassis: Chassis) -> tuple[EventOutboxRelay, list[Service]]:
    """Return the relay of outbound events and the services that publish it and the dead letters."""
    relay = EventOutboxRelay(chassis.database, chassis.log, chassis.metrics)
    dead_letters = DeadLetterRelay(chassis.database, chassis.log, chassis.metrics)
    return relay, [Service("event-outbox", relay.run), Service("dead-letters", dead_letters.run)]


async def run_ingest(settings: Settings) -> None:
    """Run the HTTP door until told to stop."""
    async with stopping_on_signals() as stop, opened(settings, SystemClock()) as chassis:
        health = ingest_health_of(chassis)
        relay, publishing = relays(chassis)
        services, server = ingest_services(chassis, health, relay)
        _say_where(settings, server, "ingest")
        await run_services([*publishing, *services], stop=stop, health=health)


def patient(settings: Settings) -> Settings:
    """Return settings that give the log time: nobody waits for an answer here, and giving up early only publishes twice."""
    log = settings.log.model_copy(update={"ack_timeout": max(settings.log.ack_timeout, RELAY_PATIENCE)})
    return settings.model_copy(update={"log": log})


async def run_rules(settings: Settings) -> None:
    """Run the rules engine until told to stop."""
    async with stopping_on_signals() as stop, opened(patient(settings), SystemClock()) as chassis:
        _, publishing = relays(chassis)
        health = health_of(chassis)
        await run_services([*publishing, *rules_services(chassis, health), *health_services(chassis, health)], stop=stop, health=health)


async def run_dispatch(settings: Settings) -> None:
    """Run the delivery until told to stop."""
    async with stopping_on_signals() as stop, opened(patient(settings), SystemClock()) as chassis:
        relay, publishing = relays(chassis)
        health = health_of(chassis)
        services = dispatch_services(chassis, relay)
        await run_services([*publishing, *services, *health_services(chassis, health)], stop=stop, health=health)


async def run_serve(settings: Settings) -> None:
    """Run everything in one process until told to stop, and follow changes of the rule files."""
    from services.dispatch.rendering import check_template
    from services.rules.watching import RulesWatcher

    async with stopping_on_signals() as stop, opened(settings, SystemClock()) as chassis:
        relay, publishing = relays(chassis)
        health = health_of(chassis)
        receiving, server = ingest_services(chassis, health, relay)
        watcher = RulesWatcher(chassis.database, chassis.clock, settings.rules.directory, settings.rules.templates, check_template)
        services = [
            *publishing,
            *retention_services(chassis),
            *dispatch_services(chassis, relay),
            *rules_services(chassis, health),
            Service("rules-watcher", watcher.run),
            *receiving,
            *health_services(chassis, health),
        ]
        await watcher.look()  # before rules ask for a rule set, and say that there is none
        _say_where(settings, server, "serve", data=str(settings.data.absolute()))
        await run_services(services, stop=stop, health=health)


def _say_where(settings: Settings, server: "IngestServer", process: str, **more: str) -> None:
    _log.info(f"listening on http://{settings.ingest.host}:{server.port}", action=f"{process}.started", **more)


def retention_services(chassis: Chassis) -> list[Service]:
    """Return what keeps an embedded log from growing for ever; Kafka needs none."""
    if not isinstance(chassis.log, EmbeddedEventLog):
        return []
    return [Service("retention", Retention(chassis.log, chassis.database, chassis.clock, load_topics()).run)]


def health_services(chassis: Chassis, health: HealthState) -> list[Service]:
    """Return the server of health and metrics, where a port is set for it."""
    telemetry = chassis.settings.telemetry
    if not telemetry.metrics_port:
        return []
    return [Service("health", HealthServer(health, chassis.metrics, telemetry.metrics_host, telemetry.metrics_port).run)]
