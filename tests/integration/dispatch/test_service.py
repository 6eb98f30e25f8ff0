"""The dispatch service whole: from the log to a provider's stand-in over a socket, and the outcomes back, on both databases."""

import asyncio
import email
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Row, text

from services.consent.tokens import TokenSigner, UnsubscribeClaim
from services.contracts import codec
from services.contracts.events import Event
from services.contracts.ids import ContentHash
from services.contracts.messages import Command
from services.dispatch import holds
from services.dispatch.channels.port import Sender
from services.dispatch.channels.sms import SmsSender
from services.dispatch.channels.smtp import SmtpSender
from services.dispatch.channels.telegram import TelegramSender
from services.dispatch.channels.unconfigured import UnconfiguredSender
from services.dispatch.service import DispatchService
from services.dispatch.standins.faults import Fault
from services.dispatch.standins.sms_gateway import SmsGateway
from services.dispatch.standins.smtp_inbox import CLOSE, SmtpInbox
from services.dispatch.standins.telegram_api import TelegramApi, flood
from services.dispatch.templates import StoredTemplates
from services.runtime import bundles
from services.runtime.clock import FrozenClock
from services.runtime.database import Database
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.eventlog.port import OutgoingRecord
from services.runtime.settings import DispatchSettings, SmtpSettings
from services.runtime.telemetry.metrics import Metrics
from tests.dispatch_builders import EMAIL, SMS, START, TELEGRAM, TEMPLATE_FILES, make_message, make_recall

_UNDER_WAY = frozenset({"queued", "claimed", "sending", "ambiguous"})
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


async def _until(is_true: Callable[[], bool]) -> None:
    """Return when something observable from outside has become true; the caller bounds the waiting."""
    while not is_true():  # noqa: ASYNC110 - stand-ins and counters tell nobody
        await asyncio.sleep(0.01)


@pytest.fixture
async def post(database: Database, tmp_path: Path) -> AsyncIterator[Post]:
    """Return everything, running."""
    post = Post(database, tmp_path)
    await post.open()
    post.start()
    yield post
    await post.close()


async def test_a_message_travels_from_the_log_to_each_provider_and_its_outcome_back(post: Post) -> None:
    """One message a channel: each reaches its provider once, and one outcome each lies in the outbox."""
    await post.send(*(make_message(f"m-{channel}", channel=channel, template_version=post.version) for channel in (EMAIL, SMS, TELEGRAM)))
    states = await post.settled("m-email", "m-sms", "m-telegram")
    assert states == {"m-email": "sent", "m-sms": "sent", "m-telegram": "sent"}
    assert [event.id for event in await post.outcomes()] == ["m-email:sent:1", "m-sms:sent:1", "m-telegram:sent:1"]
    assert [(sms.recipient, sms.text, sms.message_id) for sms in post.gateway.messages] == [
        ("+79161234567", "Your cart waits, Ann", "m-sms")
    ]
    assert [(text.chat_id, text.text) for text in post.api.messages] == [("4242", "Your cart waits, Ann")]
    assert len(post.inbox.mails) == 1


async def test_a_mail_carries_what_receivers_ask_for(post: Post) -> None:
    """Message-ID is the message's id, List-Unsubscribe a link that names the customer, one click is enough."""
    await post.send(make_message("m-1", template_version=post.version))
    await post.settled("m-1")
    mail = email.message_from_bytes(post.inbox.mails[0].content, policy=default)
    token = str(mail["List-Unsubscribe"]).removeprefix("<https://shop.example/u/").removesuffix(">")
    assert mail["Message-ID"] == "<m-1@localhost>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert SIGNER.read(token) == UnsubscribeClaim(make_message().customer, EMAIL, make_message("m-1").message_id)
    assert (mail["Subject"], mail["To"], mail["List-Id"]) == ("Hello Ann", "ann@shop.example", "<cart.povod>")
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


async def test_a_slow_channel_does_not_stall_another(post: Post) -> None:
    """While every SMS hangs, mails go."""
    post.gateway.script(*[Fault(hangs=True)] * 20)
    await post.send(*(make_message(f"s-{n}", channel=SMS, template_version=post.version) for n in range(20)))
    await post.send(*(make_message(f"m-{n}", template_version=post.version) for n in range(20)))
    async with asyncio.timeout(10):
        await post.inbox.wait_for(20)
    assert post.gateway.messages == []


async def test_a_lost_answer_is_followed_by_one_more_attempt_with_the_same_message_id(post: Post) -> None:
    """The server cut the connection after the final dot: the mail comes once more, under the same Message-ID, and the journal says why."""
    post.inbox.script("data", CLOSE)
    await post.send(make_message("m-1", template_version=post.version))
    await post.settled("m-1")
    post.clock.advance(timedelta(minutes=1))
    await post.settled("m-1", states=_UNDER_WAY)
    first, second = [mail.content.split(b"\r\n", 1)[0] for mail in post.inbox.mails]
    assert first == second == b"Message-ID: <m-1@localhost>"
    (row,) = await post.rows()
    assert (row.state, row.attempt, row.ambiguous) == ("sent", 2, 1)
    assert [event.id for event in await post.outcomes()] == ["m-1:sent:2"]


async def test_a_lost_sms_answer_is_never_followed_by_another_attempt(post: Post) -> None:
    """SMS is at most once: the gateway has it, we don't know, and that is the end."""
    post.gateway.script(Fault(status=502, keeps=True))
    await post.send(make_message("m-1", channel=SMS, template_version=post.version))
    assert await post.settled("m-1") == {"m-1": "unknown"}
    post.clock.advance(timedelta(hours=12))
    assert len(post.gateway.messages) == 1
    assert [event.id for event in await post.outcomes()] == ["m-1:unknown:1"]


async def test_a_temporary_refusal_is_tried_again_later_and_no_sooner(post: Post) -> None:
    """A 4xx waits for its back-off by the clock port, then the mail goes."""
    post.inbox.script("rcpt", "450 4.2.1 greylisted")
    await post.send(make_message("m-1", template_version=post.version))
    assert await post.settled("m-1") == {"m-1": "retry_at"}
    assert post.inbox.mails == []
    post.clock.advance(timedelta(seconds=31))
    assert await post.settled("m-1", states=frozenset({"retry_at", "claimed", "sending"})) == {"m-1": "sent"}


async def test_a_flooded_bot_is_held_whole_and_burns_no_attempt(post: Post) -> None:
    """After a 429 nothing goes to Telegram until `retry_after` has passed; then everything goes, each at its first attempt."""
    post.api.script(flood(30))
    messages = [make_message(f"t-{n}", channel=TELEGRAM, recipient=str(4_000 + n), template_version=post.version) for n in range(30)]
    await post.send(messages[0])
    async with asyncio.timeout(10):
        await _until(lambda: post.api.requests == 1)
        await post.send(*messages[1:])
        while len(await post.rows()) < 30:  # noqa: ASYNC110 - another task's commit
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)  # nothing is to happen: there is no event to wait for
    assert (post.api.requests, post.api.messages) == (1, [])
    post.clock.advance(timedelta(seconds=30))
    states = await post.settled(*(message.message_id for message in messages), states=frozenset({"queued", "claimed", "sending"}))
    assert set(states.values()) == {"sent"}
    assert {row.attempt for row in await post.rows()} == {1}


async def test_a_provider_that_is_down_costs_no_attempts_and_its_backlog_drains(post: Post) -> None:
    """While nobody listens the breaker opens and messages wait with their attempts; when the server is back, all go."""
    port = post.inbox.port
    await post.inbox.stop()
    await post.send(*(make_message(f"m-{n}", template_version=post.version) for n in range(50)))
    async with asyncio.timeout(10):
        await _until(lambda: (post.metrics.value("povod_dispatch_attempts_total", channel="email", answer="retry") or 0) >= 5)
    await post.inbox.start(port=port)
    for _ in range(5):
        post.clock.advance(timedelta(minutes=1))
        await asyncio.sleep(0.05)
    states = await post.settled(*(f"m-{n}" for n in range(50)))
    assert set(states.values()) == {"sent"}
    assert {row.attempt for row in await post.rows()} == {1}


async def test_a_recall_stops_a_message_that_is_held(post: Post) -> None:
    """A held message that is recalled is gone when the switch is lifted."""
    async with post.database.transaction() as connection:
        await holds.hold(connection, "all", "", START, "tester")
    await post.send(make_message("m-1", template_version=post.version), make_message("m-2", template_version=post.version))
    await post.send(make_recall("m-1"))
    await post.settled("m-1")
    async with post.database.transaction() as connection:
        await holds.release(connection, "all", "", START)
    states = await post.settled("m-2")
    assert states == {"m-1": "recalled", "m-2": "sent"}


async def test_a_template_that_lacks_a_value_fails_its_message_by_name(post: Post) -> None:
    """A context without a value the template needs fails the message before any attempt, and the outcome names the value."""
    await post.send(
        make_message("m-1", context={"other": 1}, template_version=post.version), make_message("m-2", template_version=post.version)
    )
    assert await post.settled("m-1", "m-2") == {"m-1": "failed", "m-2": "sent"}
    failed = (await post.outcomes())[0]
    assert (failed.id, failed.data["reason"]) == ("m-1:failed:0", "missing_value")
    assert "name" in failed.data["detail"]


async def test_a_missing_template_version_fails_its_message(post: Post) -> None:
    """A message whose template nobody stored fails and says so."""
    await post.send(make_message("m-1", template_version=ContentHash("0" * 64)))
    assert await post.settled("m-1") == {"m-1": "failed"}
    assert (await post.outcomes())[0].data["reason"] == "template_missing"


async def test_a_channel_without_settings_fails_its_messages_visibly(post: Post) -> None:
    """Messages for a channel that nobody configured do not wait unseen."""
    await post.stop()
    post.start([*post.senders()[:2], UnconfiguredSender(TELEGRAM, "POVOD_DISPATCH__TELEGRAM__TOKEN")])
    await post.send(make_message("m-1", channel=TELEGRAM, template_version=post.version))
    assert await post.settled("m-1") == {"m-1": "failed"}
    assert (await post.outcomes())[0].data["detail"] == "set POVOD_DISPATCH__TELEGRAM__TOKEN"


async def test_a_graceful_stop_finishes_what_is_under_way_and_gives_the_rest_back(post: Post) -> None:
    """A stop in the middle of a backlog leaves every message sent or queued with its attempts, none sending; a restart sends the rest."""
    count = 300
    await post.send(*(make_message(f"m-{n:03}", customer=f"c{n}", template_version=post.version) for n in range(count)))
    await post.inbox.wait_for(20)
    await post.stop()
    rows = await post.rows()
    states = {row.state for row in rows}
    sent = [row for row in rows if row.state == "sent"]
    assert states <= {"sent", "queued"}
    assert len(sent) == len(post.inbox.mails)
    assert all(row.attempt == (row.state == "sent") for row in rows)
    post.start()
    async with asyncio.timeout(30):
        await post.inbox.wait_for(count)
    await post.settled(*(f"m-{n:03}" for n in range(count)))
    assert len({mail.content.split(b"\r\n", 1)[0] for mail in post.inbox.mails}) == len(post.inbox.mails) == count
    assert len(await post.outcomes()) == count


async def test_a_killed_service_leaves_at_most_ambiguous_rows(postgres_database: Database, tmp_path: Path) -> None:
    """A service that dies while sending (its tasks are cut off) is continued by the next run: all are delivered once or twice."""
    count = 200
    post = Post(postgres_database, tmp_path)
    await post.open()
    post.start()
    await post.send(*(make_message(f"m-{n:03}", customer=f"c{n}", template_version=post.version) for n in range(count)))
    await post.inbox.wait_for(10)
    running = post._running
    assert running is not None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    post._running = None
    post.start()
    await post.settled(*(f"m-{n:03}" for n in range(count)), states=_UNDER_WAY)
    rows = await post.rows()
    assert {row.state for row in rows} == {"sent"}
    counts: dict[str, int] = {}
    for mail in post.inbox.mails:
        name = mail.content.split(b"\r\n", 1)[0].decode().removeprefix("Message-ID: <").removesuffix("@localhost>")
        counts[name] = counts.get(name, 0) + 1
    assert sorted(counts) == sorted(row.message_id for row in rows)
    assert all(counts[row.message_id] <= 1 + bool(row.ambiguous) for row in rows)
    await post.close()
