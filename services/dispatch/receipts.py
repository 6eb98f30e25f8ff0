"""Callbacks of providers, from `povod.receipts`: what became of text messages, and who has blocked the bot.

A text message that has arrived is `message.delivered`, one that never will `message.bounced`; a customer who blocked the bot has his chat
suppressed. Each is told once, however often the provider says so. A callback of a hook that nobody has explained
(`[dispatch.receipts.NAME]`) is counted and passed by; one that can't be read is a dead letter.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl

from sqlalchemy.ext.asyncio import AsyncConnection

from services.consent import suppressions
from services.consent.suppressions import Suppression
from services.contracts.errors import Rejected
from services.contracts.events import Event
from services.contracts.hygiene import clean_text
from services.contracts.ids import Channel, MessageId
from services.contracts.messages import Message
from services.contracts.topics import RECEIPTS
from services.dispatch.inbox import Decoded
from services.dispatch.journal import message_of
from services.dispatch.outcomes import Fate, event_of
from services.runtime import event_outbox
from services.runtime.bulk import BulkStatement
from services.runtime.eventlog.port import Record
from services.runtime.settings import ReceiptSettings
from services.runtime.telemetry.metrics import DISPATCH_RECEIPTS, Metrics

Kind = Literal["delivered", "bounced"]
SMS, TELEGRAM = Channel("sms"), Channel("telegram")
BLOCKED = "bot_blocked"
_MOST = 1_000
"""Statuses in one callback that are looked at."""
_COLUMNS = "SELECT deliveries.message_id, deliveries.provider_id, command, attempt FROM deliveries JOIN {rows} ON"
_BY_OURS = BulkStatement(f"{_COLUMNS} rows.id = deliveries.message_id WHERE deliveries.channel = 'sms'", id="text")
_BY_THEIRS = BulkStatement(
    f"{_COLUMNS} rows.id = deliveries.provider_id WHERE deliveries.channel = 'sms' AND deliveries.provider_id IS NOT NULL", id="text"
)


class Status(NamedTuple):
    """What a gateway says of one message: `name` is its id, ours or theirs."""

    names: Literal["ours", "theirs"]
    name: str
    kind: Kind
    word: str
    suppress: bool


class Blocked(NamedTuple):
    """A chat whose owner has blocked the bot."""

    chat: str


class Known(NamedTuple):
    """A message that a callback is about."""

    message: Message
    attempt: int
    provider_id: str | None


Said = Sequence[Status | Blocked]


class Receipts:
    """The reading of `povod.receipts`; `settings` by hook."""

    topic = RECEIPTS

    def __init__(self, settings: Mapping[str, ReceiptSettings], metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics

    def decode(self, records: Sequence[Record]) -> Decoded:
        """Return what the callbacks say, and those that can't be read."""
        said: list[Status | Blocked] = []
        broken: list[tuple[Record, Rejected]] = []
        for record in records:
            hook = dict(record.headers).get("hook", b"").decode("utf-8", "replace")
            try:
                found = self._read(hook, record)
            except Rejected as error:
                broken.append((record, error))
                continue
            said += found
            self._count(hook, found)
        return Decoded(said, broken)

    async def write(self, connection: AsyncConnection, said: Said, now: datetime) -> None:
        """Put outcomes into the outbox and suppress addresses."""
        statuses = [each for each in said if isinstance(each, Status)]
        known = await _look_up(connection, statuses)
        found = [(known[each.names, each.name], each) for each in statuses if (each.names, each.name) in known]
        await event_outbox.put(connection, [_outcome(message, status, now) for message, status in found])
        gone = [_suppression(message, status, now) for message, status in found if status.suppress]
        gone += [Suppression(TELEGRAM, each.chat, BLOCKED, now) for each in said if isinstance(each, Blocked)]
        await suppressions.add(connection, gone)

    def _read(self, hook: str, record: Record) -> Said:
        settings = self._settings.get(hook)
        if settings is None:
            return ()
        posted = _parsed(record)
        return _blocked_in(posted) if settings.reader == "telegram" else _statuses_in(posted, settings)

    def _count(self, hook: str, found: Said) -> None:
        if hook not in self._settings:
            self._metrics.add(DISPATCH_RECEIPTS, hook="other", meaning="unread")
        for each in found:
            self._metrics.add(DISPATCH_RECEIPTS, hook=hook, meaning=each.kind if isinstance(each, Status) else "blocked")


def _parsed(record: Record) -> Any:
    kind = dict(record.headers).get("content-type", b"").decode("latin-1").lower()
    try:
        if kind.startswith("application/x-www-form-urlencoded"):
            return dict(parse_qsl(record.value.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST))
        return json.loads(record.value)
    except (ValueError, RecursionError) as error:
        raise Rejected(f"the callback can't be read: {error}", code="invalid_receipt") from error


def _statuses_in(posted: Any, settings: ReceiptSettings) -> Said:
    """Return the statuses of one callback, or of a list of them; those on the way say nothing yet."""
    reports = posted[:_MOST] if isinstance(posted, list) else [posted]
    return [status for report in reports if (status := _status_of(report, settings))]


def _status_of(report: Any, settings: ReceiptSettings) -> Status | None:
    name, word = point(report, settings.message_id), point(report, settings.status).lower()
    kind: Kind | None = "delivered" if _is_one_of(word, settings.delivered) else None
    suppress = _is_one_of(word, settings.suppress)
    if kind is None and (suppress or _is_one_of(word, settings.undelivered)):
        kind = "bounced"
    return Status(settings.names, name, kind, word, suppress) if kind and name else None


def _is_one_of(word: str, words: Iterable[str]) -> bool:
    return any(word == each.lower() for each in words)


def _blocked_in(update: Any) -> Said:
    """Return the chat of a Telegram update that says its owner has blocked the bot (https://core.telegram.org/bots/api#chatmemberupdated)."""
    is_private = point(update, "/my_chat_member/chat/type") == "private"
    chat = point(update, "/my_chat_member/chat/id")
    return [Blocked(chat)] if is_private and chat and point(update, "/my_chat_member/new_chat_member/status") == "kicked" else ()


def point(value: Any, pointer: str) -> str:
    """Return the text or number at a JSON pointer (RFC 6901) as text, nothing where there is none."""
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        value = value.get(name) if isinstance(value, dict) else None
    return clean_text(str(value)[:255]) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""


async def _look_up(connection: AsyncConnection, statuses: Sequence[Status]) -> Mapping[tuple[str, str], Known]:
    """Return the messages that statuses are about; who names another's message or none is passed by."""
    found: dict[tuple[str, str], Known] = {}
    for names, statement in (("ours", _BY_OURS), ("theirs", _BY_THEIRS)):
        wanted = sorted({each.name for each in statuses if each.names == names})
        for row in await statement.execute(connection, [(name,) for name in wanted]) if wanted else ():
            name = row.message_id if names == "ours" else row.provider_id
            found[names, name] = Known(message_of(row.command), row.attempt, row.provider_id)
    return found


def _outcome(known: Known, status: Status, now: datetime) -> Event:
    reason = None if status.kind == "delivered" else "undelivered"
    fate = Fate(status.kind, known.attempt, reason, status.word, known.provider_id, status.suppress)
    return event_of(known.message, fate, status.kind, now)


def _suppression(known: Known, status: Status, now: datetime) -> Suppression:
    message = known.message
    return Suppression(SMS, message.recipient, status.word, now, message.customer, MessageId(message.message_id))
