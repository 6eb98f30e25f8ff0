"""Laws of every channel: each sender against its shipped stand-in, over a real socket.

A harness knows, for its provider, how to be accepted, refused, flooded, silenced; the laws are the same for all.
"""

import asyncio
import email
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec
import pytest

from services.contracts.ids import MessageId
from services.dispatch.channels.port import Accepted, Reject, Rendered, Retry, Sender, Unknown
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


@pytest.fixture(params=[Email, Sms, Telegram], ids=["email", "sms", "telegram"])
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    """Return a running provider with its sender."""
    harness: Harness = request.param()
    await harness.start()
    yield harness
    await harness.stop()


async def test_an_accepted_message_has_the_providers_id(provider: Harness) -> None:
    """A message that is taken over is `Accepted`, with the name the provider gave it."""
    answer = await provider.sender.send(provider.message())
    assert isinstance(answer, Accepted)
    assert answer.provider_id
    assert len(provider.kept()) == 1


async def test_a_flooded_provider_pauses_the_channel(provider: Harness) -> None:
    """Who says "too fast" holds the whole channel, for as long as was asked for; the message is not delivered."""
    provider.flood()
    answer = await provider.sender.send(provider.message())
    assert isinstance(answer, Retry)
    assert answer.scope == "channel"
    assert answer.after == (None if isinstance(provider, Email) else timedelta(seconds=7))
    assert provider.kept() == []


async def test_a_dead_address_is_rejected_and_suppressed(provider: Harness) -> None:
    """An address that must not be used again is `Reject` with `suppress`."""
    provider.refuse_recipient()
    answer = await provider.sender.send(provider.message())
    assert isinstance(answer, Reject)
    assert (answer.kind, answer.suppress) == ("recipient", True)


async def test_refused_content_says_nothing_of_the_person(provider: Harness) -> None:
    """What is refused for its content is final for the message and suppresses nobody."""
    provider.refuse_content()
    answer = await provider.sender.send(provider.message())
    assert isinstance(answer, Reject)
    assert not answer.suppress


async def test_a_lost_answer_is_unknown(provider: Harness) -> None:
    """Where the provider took the message and its answer was lost, nobody can say whether it was delivered."""
    provider.lose_answer()
    answer = await provider.sender.send(provider.message())
    assert isinstance(answer, Unknown)
    assert len(provider.kept()) == 1


async def test_silence_ends_within_the_senders_patience(provider: Harness) -> None:
    """A provider that never answers costs at most the patience, and the answer is unknown."""
    provider.hang()
    async with asyncio.timeout(provider.sender.patience.total_seconds()):
        answer = await provider.sender.send(provider.message())
    assert isinstance(answer, Unknown)
    assert answer.reason == "timeout"


async def test_an_answer_that_never_ends_is_given_up_within_the_senders_patience(provider: Harness) -> None:
    """A provider whose answer drips costs at most the patience, and the answer is unknown; the next message goes."""
    provider.drip()
    async with asyncio.timeout(provider.sender.patience.total_seconds()):
        answer = await provider.sender.send(provider.message())
    assert isinstance(answer, Unknown)
    assert answer.reason == "timeout"
    assert isinstance(await provider.sender.send(provider.message()), Accepted)


@pytest.mark.parametrize("provider", [Sms, Telegram], ids=["sms", "telegram"], indirect=True)
async def test_an_answer_without_measure_is_not_read_to_its_end(provider: Sms | Telegram) -> None:
    """Of an answer larger than any real one only a beginning is read; what it says can't be known then."""
    fault = Fault(status=200, body={"ok": True, "pad": "x" * 8_000_000}, keeps=True)
    (provider.gateway if isinstance(provider, Sms) else provider.api).script(fault)
    answer = await provider.sender.send(provider.message())
    assert isinstance(answer, Unknown)
    assert len(answer.detail) <= 500
    assert isinstance(await provider.sender.send(provider.message()), Accepted)


async def test_the_trace_of_a_message_reaches_the_provider(provider: Harness) -> None:
    """A message's `traceparent` goes along as it is; a message without one sends none."""
    traced = msgspec.structs.replace(provider.message("m-1"), traceparent=TRACE)
    for message in (traced, provider.message("m-2")):
        assert isinstance(await provider.sender.send(message), Accepted)
    assert list(provider.traces()) == [TRACE, None]


async def test_a_provider_that_is_down_is_tried_again(provider: Harness) -> None:
    """Nobody listening means certainly not delivered: the channel waits, the message is not at fault."""
    await provider.go_down()
    answer = await provider.sender.send(provider.message())
    assert isinstance(answer, Retry)
    assert (answer.reason, answer.scope) == ("connection_failed", "channel")


async def test_after_any_failure_the_next_message_goes(provider: Harness) -> None:
    """No failure leaves the sender unusable."""
    for fail in (provider.flood, provider.refuse_content, provider.lose_answer, provider.hang):
        fail()
        await provider.sender.send(provider.message("m-0"))
        assert isinstance(await provider.sender.send(provider.message()), Accepted)


async def test_attempts_of_one_message_are_the_same_to_the_provider(provider: Harness) -> None:
    """The key by which a provider can drop a repeat is constant over attempts."""
    provider.lose_answer()
    await provider.sender.send(provider.message("m-77"))
    await provider.sender.send(provider.message("m-77"))
    first, second = provider.kept()
    assert first == second


@pytest.mark.parametrize("recipient", ["", " ", "a\r\nRCPT TO:<b@c>", "\x00", "x" * 5_000, "@", "пользователь", "a@b\n", "＋79161234567"])
async def test_no_recipient_makes_a_sender_raise(provider: Harness, recipient: str) -> None:
    """Whatever stands as a recipient, a sender answers and never raises; nothing is delivered to a cut-off address."""
    before = len(provider.kept())
    message = msgspec.structs.replace(provider.message(), recipient=recipient)
    answer = await provider.sender.send(message)
    if isinstance(provider, Telegram):
        assert isinstance(answer, Accepted | Reject)
    else:
        assert isinstance(answer, Reject)
        assert len(provider.kept()) == before


async def test_a_message_without_text_is_rejected(provider: Harness) -> None:
    """A template that has no part for the channel is a fault of the content."""
    answer = await provider.sender.send(msgspec.structs.replace(provider.message(), parts={}))
    assert isinstance(answer, Reject)
    assert answer.kind == "content"


async def test_closing_twice_is_harmless(provider: Harness) -> None:
    """A sender may be closed before it was used, and twice."""
    await provider.sender.close()
    await provider.sender.close()
