"""Callbacks of providers become outcomes and suppressions, on both databases."""

import json
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import text

from services.dispatch.channels.port import Accepted
from services.dispatch.inbox import Inbox
from services.dispatch.journal import Judged
from services.dispatch.receipts import Receipts
from services.dispatch.verdicts import settle
from services.runtime.database import Database
from services.runtime.eventlog.port import Batch, Record, TopicPartition
from services.runtime.settings import ReceiptSettings
from services.runtime.telemetry.metrics import Metrics
from tests.dispatch_builders import SMS, START, make_message
from tests.dispatch_desk import LIMIT, POLICY, Desk

PARTITION = TopicPartition("povod.receipts", 0)
HOOKS = {
    "gate": ReceiptSettings(reader="sms", suppress=("blocked",)),
    "their-ids": ReceiptSettings(reader="sms", message_id="/report/sms_id", names="theirs", status="/report/state"),
    "bot": ReceiptSettings(reader="telegram"),
}
JSON = b"application/json"


class Counter:
    """The window at which callbacks are taken: a desk whose inbox has another topic."""

    def __init__(self, database: Database) -> None:
        self.desk = Desk(database)
        self.metrics = Metrics(CollectorRegistry())
        log, receipts = self.desk.inbox._log, Receipts(HOOKS, self.metrics)
        self._inbox = Inbox(log, database, self.desk.clock, "worker", lambda: None, LIMIT, reading=receipts)
        self._offset = 0

    async def send_sms(self, message_id: str, provider_id: str) -> None:
        """Have a text message accepted by its gateway."""
        await self.desk.take(make_message(message_id, channel=SMS))
        journal = self.desk.journal(SMS, "http_sms")
        claimed = await journal.claim("worker/run/sms/1", 10)
        (begun,) = await journal.begin("worker/run/sms/1", claimed.claim.deliveries, timedelta(seconds=60))
        verdict = settle(begun, Accepted(provider_id), START, POLICY, Random(7), at_most_once=True)
        await journal.settle([("worker/run/sms/1", Judged(delivery=begun, verdict=verdict))])

    async def take(self, *callbacks: tuple[str, Any], kind: bytes = JSON) -> None:
        """Put callbacks (hook and body) through the inbox as the next batch."""
        if not self._offset:
            await self._inbox.on_assigned([PARTITION])
        records = [
            Record(*PARTITION, self._offset + n, b"", _bytes(body), _headers(hook, kind), START) for n, (hook, body) in enumerate(callbacks)
        ]
        self._offset += len(records)
        await self._inbox.take(PARTITION, Batch(records, self._offset, None))

    async def told(self) -> list[tuple[str, str, Any]]:
        """Return type, message and detail of the outcomes but for `message.sent`."""
        outcomes = [event for event in await self.desk.outcomes() if event.type != "message.sent"]
        return [(event.type, event.data["message_id"], event.data["detail"]) for event in outcomes]

    async def suppressed(self) -> list[tuple[str, str, str]]:
        """Return channel, address and reason of every suppression."""
        async with self.desk.database.reading() as connection:
            rows = await connection.execute(text("SELECT channel, address, reason FROM suppressions ORDER BY channel"))
            return [(row.channel, row.address, row.reason) for row in rows]

    async def dead(self) -> list[str]:
        """Return the reasons of dead letters."""
        async with self.desk.database.reading() as connection:
            return [row.reason for row in await connection.execute(text("SELECT reason FROM dead_letters ORDER BY record_offset"))]


def _bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def _headers(hook: str, kind: bytes) -> tuple[tuple[str, bytes], ...]:
    return (("hook", hook.encode()), ("content-type", kind), ("received-at", b"2026-03-02T09:00:00+00:00"))


def kicked(chat: int, status: str = "kicked", kind: str = "private") -> dict[str, Any]:
    """Return Telegram's update about a member of a chat."""
    return {"update_id": 1, "my_chat_member": {"chat": {"id": chat, "type": kind}, "new_chat_member": {"status": status}}}


@pytest.fixture
def counter(database: Database) -> Counter:
    """Return a counter over an empty database."""
    return Counter(database)


async def test_what_arrived_and_what_did_not(counter: Counter) -> None:
    """Found by our id or by the gateway's own: delivered is `message.delivered`, failed is `message.bounced`; on its way is nothing yet."""
    await counter.send_sms("m-1", "g-1")
    await counter.send_sms("m-2", "g-2")
    await counter.take(("gate", {"id": "m-1", "status": "accepted"}), ("gate", {"id": "m-1", "status": "Delivered"}))
    await counter.take(("their-ids", {"report": {"sms_id": "g-2", "state": "expired"}}))
    assert await counter.told() == [("message.delivered", "m-1", "delivered"), ("message.bounced", "m-2", "expired")]
    (event,) = [event for event in await counter.desk.outcomes() if event.type == "message.bounced"]
    assert (event.subject, event.data["provider_id"], event.data["reason"], event.data["suppress"]) == ("ann", "g-2", "undelivered", False)
    assert counter.metrics.value("povod_dispatch_receipts_total", hook="gate", meaning="delivered") == 1


async def test_a_replay_means_nothing_new(counter: Counter) -> None:
    """However often a provider says it, in one batch or in several, it is one event."""
    await counter.send_sms("m-1", "g-1")
    for _ in range(2):
        await counter.take(*[("gate", {"id": "m-1", "status": "delivered"})] * 3)
    assert await counter.told() == [("message.delivered", "m-1", "delivered")]


async def test_a_list_and_a_form_are_read_too(counter: Counter) -> None:
    """Several reports in one callback, and fields of a form."""
    await counter.send_sms("m-1", "g-1")
    await counter.send_sms("m-2", "g-2")
    await counter.take(("gate", [{"id": "m-1", "status": "delivered"}, 7, None]))
    await counter.take(("gate", b"id=m-2&status=failed"), kind=b"application/x-www-form-urlencoded; charset=utf-8")
    assert {message: kind for kind, message, _ in await counter.told()} == {"m-1": "message.delivered", "m-2": "message.bounced"}


async def test_a_number_that_must_not_be_used_again(counter: Counter) -> None:
    """A status that says so suppresses the number and tells the rules."""
    await counter.send_sms("m-1", "g-1")
    await counter.take(("gate", {"id": "m-1", "status": "blocked"}))
    assert await counter.suppressed() == [("sms", "+79161234567", "blocked")]
    assert [event.data["suppress"] for event in await counter.desk.outcomes() if event.type == "message.bounced"] == [True]


async def test_who_blocks_the_bot_is_not_written_to_again(counter: Counter) -> None:
    """`my_chat_member` with `kicked` in a private chat suppresses it; groups, other statuses and other updates do nothing."""
    await counter.take(
        ("bot", kicked(7, "member")), ("bot", kicked(-8, kind="group")), ("bot", {"update_id": 2, "message": {"text": "/start"}})
    )
    assert await counter.suppressed() == []
    await counter.take(("bot", kicked(4242)), ("bot", kicked(4242)))
    assert await counter.suppressed() == [("telegram", "4242", "bot_blocked")]


async def test_strangers_and_other_hooks_are_passed_by(counter: Counter) -> None:
    """A message that is not ours, a hook that nobody explained: nothing is told, nothing is dead, and it is counted."""
    await counter.take(("gate", {"id": "nobody's", "status": "delivered"}), ("whatsapp", b"\xff"), ("gate", {}), ("gate", "text"))
    assert (await counter.told(), await counter.dead()) == ([], [])
    assert counter.metrics.value("povod_dispatch_receipts_total", hook="other", meaning="unread") == 1


POISON = [b"\xff", b"{", b"", b"[" * 100_000, b'{"id": ' + b"9" * 5_000 + b"}"]


async def test_what_can_not_be_read_is_a_dead_letter(counter: Counter) -> None:
    """Rubbish with a good signature stops nobody: each is a dead letter, its neighbours are read; strange texts are cleaned."""
    await counter.send_sms("m-1", "g-1")
    strange = b'{"id": "m-1\\u0000", "status": "delivered", "x": "\\ud83d", "y": NaN}'
    await counter.take(*[("gate", body) for body in POISON], ("gate", strange), ("gate", b'{"id": "\\ud83d", "status": "failed"}'))
    assert await counter.dead() == ["invalid_receipt"] * len(POISON)
    assert await counter.told() == [("message.delivered", "m-1", "delivered")]
