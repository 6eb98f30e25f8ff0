"""An ordinary deploy: a process is told to stop while a provider takes its time."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.dispatch.standins.smtp_inbox import HANG, SmtpInbox
from tests.kill import engines
from tests.kill.fleet import Fleet
from tests.kill.rounds import wait_until_ready

SLOW_SECONDS = 8.0
"""How long the server thinks about a mail: more than an even share of the time to drain."""


class SlowInbox(SmtpInbox):
    """Keeps a mail at once and says so late."""

    async def handle_DATA(self, *given: Any) -> str:  # noqa: N802 - aiosmtpd's
        """Answer after a while."""
        answer = await super().handle_DATA(*given)
        await asyncio.sleep(SLOW_SECONDS)
        return answer


async def buy(engine: engines.Engine) -> None:
    """Introduce a customer, who buys something and is thanked."""
    events = [
        {"type": "customer.registered", "customer": "ann", "data": {"email": "ann@shop.example", "consent": {"email": True}}},
        {"type": "order.completed", "customer": "ann", "data": {"order_id": "o-1", "total": 50}},
    ]
    async with httpx.AsyncClient(base_url=engine.base_url, headers={"Authorization": f"Bearer {engine.write_key}"}) as http:
        answer = await http.post("/v1/events", json={"batch": events})
    assert [result["status"] for result in answer.json()["results"]] == ["accepted", "accepted"]


def deliveries(folder: Path) -> list[tuple[object, ...]]:
    """Return what the journal says of every message."""
    with closing(sqlite3.connect(folder / "data" / "state.db")) as connection:
        return connection.execute("SELECT state, attempt, ambiguous, reason FROM deliveries").fetchall()


@asynccontextmanager
async def bought(inbox: SmtpInbox, folder: Path) -> AsyncIterator[Fleet]:
    """Run one process that mails into this inbox, for a customer who has bought something; stop both in the end."""
    engine = await engines.embedded_engine(folder, await inbox.start())
    fleet = Fleet(engine.commands, {**engine.environment, "POVOD_DISPATCH__SMTP__TIMEOUT": "30s"}, folder)
    fleet.start_all()
    try:
        await wait_until_ready(engine.base_url)
        await buy(engine)
        async with asyncio.timeout(40):
            await inbox.wait_for(1)
            yield fleet
    finally:
        await asyncio.to_thread(fleet.stop_all, 40)
        await inbox.stop()


@pytest.mark.timeout(120)
async def test_a_mail_under_way_at_sigterm_is_sent_once_and_recorded(tmp_path: Path) -> None:
    """A process that is told to stop while a server takes eight seconds over a mail waits for the answer and writes it down."""
    inbox = SlowInbox()
    async with bought(inbox, tmp_path):
        pass  # which ends with SIGTERM
    assert await asyncio.to_thread(deliveries, tmp_path) == [("sent", 1, 0, None)]
    assert len(inbox.mails) == 1


@pytest.mark.timeout(120)
async def test_what_a_killed_process_was_sending_is_taken_up_when_it_comes_back(tmp_path: Path) -> None:
    """A process that keeps its name gives up at once what it was sending when it was killed: no lease of 75 seconds is waited for."""
    inbox = SmtpInbox()
    inbox.script("data", HANG)
    async with bought(inbox, tmp_path) as fleet:
        await asyncio.to_thread(fleet.kill, "serve")
        fleet.start("serve")
        await inbox.wait_for(2)
    assert await asyncio.to_thread(deliveries, tmp_path) == [("sent", 2, 1, None)]
    first, second = (mail.content.split(b"\r\n", 1)[0] for mail in inbox.mails)
    assert first == second
    assert first.startswith(b"Message-ID: ")
