"""How each provider is made to accept, refuse, flood or be silent, for the laws of channels."""

import email
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from services.contracts.ids import MessageId
from services.dispatch.channels.port import Rendered, Sender
from services.dispatch.channels.sms import SmsSender
from services.dispatch.channels.smtp import SmtpSender
from services.dispatch.channels.telegram import TelegramSender
from services.dispatch.standins.faults import Fault
from services.dispatch.standins.sms_gateway import SmsGateway
from services.dispatch.standins.smtp_inbox import CLOSE, DRIP, HANG, SmtpInbox
from services.dispatch.standins.telegram_api import TelegramApi, flood
from services.runtime.clock import FrozenClock
from services.runtime.settings import SmtpSettings

SHORT = timedelta(milliseconds=300)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Harness(Protocol):
    """A provider under test control."""

    sender: Sender

    async def start(self) -> None:
        """Start the stand-in and make the sender."""

    async def stop(self) -> None:
        """Stop both."""

    async def go_down(self) -> None:
        """Let nobody listen any more."""

    def refuse_recipient(self) -> None:
        """Refuse the next message because the address is dead."""

    def refuse_content(self) -> None:
        """Refuse the next message for what is in it."""

    def flood(self) -> None:
        """Answer the next message with the provider's own word for "too fast"."""

    def lose_answer(self) -> None:
        """Take the next message over and cut the connection."""

    def hang(self) -> None:
        """Take the next message and never answer."""

    def drip(self) -> None:
        """Take the next message and answer byte by byte, without end."""

    def message(self, message_id: str = "m-1", recipient: str = "") -> Rendered:
        """Return a message for this provider."""

    def kept(self) -> Sequence[str]:
        """Return what was taken over, by what the provider can tell attempts of one message apart or not."""

    def traces(self) -> Sequence[str | None]:
        """Return the trace that came with each message that was taken over."""


class Email:
    """SMTP."""

    def __init__(self) -> None:
        self.inbox = SmtpInbox()

    async def start(self) -> None:
        """Start."""
        settings = SmtpSettings(port=await self.inbox.start(), connections=2, timeout=SHORT)
        self.sender: Sender = SmtpSender(settings, FrozenClock(NOW))

    async def stop(self) -> None:
        """Stop."""
        await self.sender.close()
        await self.inbox.stop()

    async def go_down(self) -> None:
        """Stop listening."""
        await self.inbox.stop()

    def refuse_recipient(self) -> None:
        """Unknown user."""
        self.inbox.script("rcpt", "550 5.1.1 no such user here")

    def refuse_content(self) -> None:
        """Too large."""
        self.inbox.script("data", "552 5.3.4 too big")

    def flood(self) -> None:
        """Shut down the service."""
        self.inbox.script("rcpt", "421 4.7.0 too many, come back later")

    def lose_answer(self) -> None:
        """Close after the final dot."""
        self.inbox.script("data", CLOSE)

    def hang(self) -> None:
        """Say nothing after the final dot."""
        self.inbox.script("data", HANG)

    def drip(self) -> None:
        """Answer the final dot with line upon line of one reply that never ends."""
        self.inbox.script("data", DRIP)

    def message(self, message_id: str = "m-1", recipient: str = "") -> Rendered:
        """A mail."""
        parts = {"subject.txt": "Тема", "body.txt": "текст\n"}
        return Rendered(message_id=MessageId(message_id), recipient=recipient or "ann@shop.example", language="ru", parts=parts)

    def kept(self) -> Sequence[str]:
        """Message-IDs."""
        return [mail.content.split(b"\r\n", 1)[0].decode() for mail in self.inbox.mails]

    def traces(self) -> Sequence[str | None]:
        """The field `X-Traceparent`."""
        return [email.message_from_bytes(mail.content)["X-Traceparent"] for mail in self.inbox.mails]


class Sms:
    """A gateway over HTTP."""

    def __init__(self) -> None:
        self.gateway = SmsGateway(key="s3cret")

    async def start(self) -> None:
        """Start."""
        await self.gateway.start()
        self.sender: Sender = SmsSender(self.gateway.settings(timeout=SHORT))

    async def stop(self) -> None:
        """Stop."""
        await self.sender.close()
        await self.gateway.stop()

    async def go_down(self) -> None:
        """Stop listening."""
        await self.gateway.stop()

    def refuse_recipient(self) -> None:
        """The number has opted out."""
        self.gateway.opted_out.add("+79161234567")

    def refuse_content(self) -> None:
        """A filter."""
        self.gateway.script(Fault(status=400, body={"ok": False, "error": "filtered"}))

    def flood(self) -> None:
        """Too many requests."""
        self.gateway.script(Fault(status=429, headers={"Retry-After": "7"}))

    def lose_answer(self) -> None:
        """Fail after taking it."""
        self.gateway.script(Fault(status=502, keeps=True))

    def hang(self) -> None:
        """Never answer."""
        self.gateway.script(Fault(hangs=True, keeps=True))

    def drip(self) -> None:
        """Send blanks."""
        self.gateway.script(Fault(drips=True, keeps=True))

    def message(self, message_id: str = "m-1", recipient: str = "") -> Rendered:
        """A text."""
        return Rendered(
            message_id=MessageId(message_id), recipient=recipient or "+79161234567", language="ru", parts={"text.txt": "Привет"}
        )

    def kept(self) -> Sequence[str]:
        """Our message ids."""
        return [message.message_id for message in self.gateway.messages]

    def traces(self) -> Sequence[str | None]:
        """The header `traceparent`."""
        return [message.traceparent for message in self.gateway.messages]


class Telegram:
    """The Bot API."""

    def __init__(self) -> None:
        self.api = TelegramApi()

    async def start(self) -> None:
        """Start."""
        await self.api.start()
        self.sender: Sender = TelegramSender(self.api.settings(timeout=SHORT))

    async def stop(self) -> None:
        """Stop."""
        await self.sender.close()
        await self.api.stop()

    async def go_down(self) -> None:
        """Stop listening."""
        await self.api.stop()

    def refuse_recipient(self) -> None:
        """Blocked."""
        self.api.blocked.add("4242")

    def refuse_content(self) -> None:
        """Markup."""
        self.api.script(Fault(status=400, body={"ok": False, "error_code": 400, "description": "Bad Request: can't parse entities"}))

    def flood(self) -> None:
        """Flood control."""
        self.api.script(flood(7))

    def lose_answer(self) -> None:
        """Fail after taking it."""
        self.api.script(Fault(status=502, keeps=True))

    def hang(self) -> None:
        """Never answer."""
        self.api.script(Fault(hangs=True, keeps=True))

    def drip(self) -> None:
        """Send blanks."""
        self.api.script(Fault(drips=True, keeps=True))

    def message(self, message_id: str = "m-1", recipient: str = "") -> Rendered:
        """A text."""
        return Rendered(message_id=MessageId(message_id), recipient=recipient or "4242", language="ru", parts={"text.txt": "Привет"})

    def kept(self) -> Sequence[str]:
        """Chats."""
        return [message.chat_id for message in self.api.messages]

    def traces(self) -> Sequence[str | None]:
        """The header `traceparent`."""
        return [message.traceparent for message in self.api.messages]
