"""The dispatch service running, with its log, its database and its providers' stand-ins: what tests of the whole stand on."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy import Row, text

from services.consent.tokens import TokenSigner
from services.contracts import codec
from services.contracts.events import Event
from services.contracts.ids import ContentHash
from services.contracts.messages import Command
from services.dispatch.channels.port import Sender
from services.dispatch.channels.sms import SmsSender
from services.dispatch.channels.smtp import SmtpSender
from services.dispatch.channels.telegram import TelegramSender
from services.dispatch.service import DispatchService
from services.dispatch.standins.sms_gateway import SmsGateway
from services.dispatch.standins.smtp_inbox import SmtpInbox
from services.dispatch.standins.telegram_api import TelegramApi
from services.dispatch.templates import StoredTemplates
from services.runtime import bundles
from services.runtime.clock import FrozenClock
from services.runtime.database import Database
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.eventlog.port import OutgoingRecord
from services.runtime.settings import DispatchSettings, SmtpSettings
from services.runtime.telemetry.metrics import Metrics
from tests.dispatch_builders import START, TEMPLATE_FILES

UNDER_WAY = frozenset({"queued", "claimed", "sending", "ambiguous"})
"""States of a message that is neither ended nor put off."""
SIGNER = TokenSigner(["a secret of at least thirty-two characters"])


class Post:
    """A running service with its log, its database and its providers' stand-ins."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.clock = FrozenClock(START)
        self.log = EmbeddedEventLog(folder / "log.db", {"povod.dispatch": 4, "povod.events": 4}, self.clock)
        self.inbox, self.gateway, self.api = SmtpInbox(), SmsGateway(), TelegramApi()
        self.metrics = Metrics(CollectorRegistry())
        self.version = ContentHash("")
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start log and stand-ins, store the template."""
        await self.log.start()
        for stand_in in (self.inbox, self.gateway, self.api):
            await stand_in.start()
        async with self.database.transaction() as connection:
            self.version = await bundles.save(connection, "template", "cart-reminder", TEMPLATE_FILES, 0)

    def senders(self) -> Sequence[Sender]:
        """Return a sender for each stand-in."""
        smtp = SmtpSettings(port=self.inbox.port, connections=2, timeout=timedelta(seconds=2))
        return (
            SmtpSender(smtp, self.clock),
            SmsSender(self.gateway.settings(timeout=timedelta(seconds=1))),
            TelegramSender(self.api.settings(timeout=timedelta(seconds=1))),
        )

    def start(self, senders: Sequence[Sender] | None = None) -> None:
        """Start the service."""
        service = DispatchService(
            self.log, self.database, self.clock, DispatchSettings(), senders or self.senders(), StoredTemplates(self.database), SIGNER,
            "https://shop.example", self.metrics, worker="w-1",
        )  # fmt: skip
        self._stop = asyncio.Event()
        self._running = asyncio.create_task(service.run(self._stop))

    async def stop(self) -> None:
        """Stop the service gracefully."""
        if self._running is not None:
            self._stop.set()
            await self._running
            self._running = None

    async def close(self) -> None:
        """Stop everything."""
        await self.stop()
        for stand_in in (self.inbox, self.gateway, self.api):
            await stand_in.stop()
        await self.log.close()

    async def send(self, *commands: Command) -> None:
        """Put commands on the dispatch topic."""
        await self.log.append("povod.dispatch", [OutgoingRecord(each.customer.encode(), codec.encode_command(each)) for each in commands])

    async def settled(self, *message_ids: str, states: frozenset[str] = frozenset({"queued", "claimed", "sending"})) -> dict[str, str]:
        """Return the states of all deliveries once these are there and none of them is in one of `states`; polls, bounded."""
        async with asyncio.timeout(20):
            while True:
                rows = {row.message_id: row.state for row in await self.rows()}
                if all(rows.get(message_id, "queued") not in states for message_id in message_ids):
                    return rows
                await asyncio.sleep(0.01)

    async def rows(self) -> Sequence[Row[Any]]:
        """Return all deliveries."""
        async with self.database.reading() as connection:
            return (await connection.execute(text("SELECT * FROM deliveries ORDER BY message_id"))).all()

    async def outcomes(self) -> list[Event]:
        """Return the outcomes in the outbox, by id."""
        async with self.database.reading() as connection:
            rows = await connection.execute(text("SELECT value FROM event_outbox ORDER BY id"))
            return [codec.decode_event(row.value.encode()) for row in rows]
