"""The mail sender on servers that take an envelope in one go and on those that take it line by line: the same answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple

import pytest
from aiosmtpd.smtp import Envelope, Session

from services.contracts.ids import MessageId
from services.dispatch.channels.port import Accepted, Answer, Reject, Rendered, Retry, Unknown
from services.dispatch.channels.smtp import SmtpSender
from services.dispatch.standins.smtp_inbox import CLOSE, SmtpInbox
from services.runtime.clock import FrozenClock
from services.runtime.settings import SmtpSettings
from tests.dispatch_builders import START


class Pipelining(SmtpInbox):
    """A server that offers PIPELINING."""

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's
        self, _server: object, session: Session, _envelope: Envelope, hostname: str, replies: list[str]
    ) -> list[str]:
        """Offer it."""
        session.host_name = hostname
        return ["250-PIPELINING" if reply.startswith("250-8BITMIME") else reply for reply in replies]


class Post(NamedTuple):
    """A server and a sender with one connection to it."""

    inbox: SmtpInbox
    sender: SmtpSender

    async def send(self, message_id: str = "m-1") -> Answer:
        """Hand one mail over."""
        return await self.sender.send(mail(message_id))


def mail(message_id: str = "m-1") -> Rendered:
    """Return a mail."""
    parts = {"subject.txt": "Hello", "body.txt": "text\n"}
    return Rendered(message_id=MessageId(message_id), recipient="ann@shop.example", language="en", parts=parts)


def sender_to(port: int) -> SmtpSender:
    """Return a sender with one connection and little patience."""
    return SmtpSender(SmtpSettings(port=port, connections=1, timeout=timedelta(milliseconds=500)), FrozenClock(START))


@pytest.fixture(params=[Pipelining, SmtpInbox], ids=["pipelining", "line-by-line"])
async def post(request: pytest.FixtureRequest) -> AsyncIterator[Post]:
    """Return a running server, with and without PIPELINING, and a sender."""
    inbox: SmtpInbox = request.param()
    sender = sender_to(await inbox.start())
    yield Post(inbox, sender)
    await sender.close()
    await inbox.stop()


@pytest.mark.parametrize(
    ("verb", "reply", "expected"),
    [
        ("mail", "452 4.3.1 full", Retry("smtp_452", scope="message", detail="452 4.3.1 full")),
        ("mail", "550 5.7.1 not you", Reject("policy", "config", detail="550 5.7.1 not you")),
        ("rcpt", "450 4.2.1 later", Retry("smtp_450", scope="recipient", detail="450 4.2.1 later")),
        ("rcpt", "421 4.7.0 bye", Retry("smtp_421", scope="channel", detail="421 4.7.0 bye")),
        ("data", "552 5.3.4 too big", Reject("smtp_552", "content", detail="552 5.3.4 too big")),
        ("data", CLOSE, Unknown("disconnected", detail="Connection lost")),
    ],
)
async def test_the_first_refusal_is_the_answer_and_the_next_mail_goes(post: Post, verb: str, reply: str, expected: Answer) -> None:
    """Whichever command is refused, its reply is what counts, not those of the commands behind it; and nothing is out of step after it."""
    post.inbox.script(verb, reply)  # type: ignore[arg-type]
    assert await post.send() == expected
    kept = len(post.inbox.mails)
    assert await post.send("m-2") == Accepted(provider_id=f"2.0.0 kept as {kept + 1}")


async def test_many_mails_share_a_connection(post: Post) -> None:
    """Twenty mails, three of them refused, over one connection: every answer belongs to its own mail."""
    post.inbox.script("rcpt", *["550 no", "", "", "", "", ""] * 3)
    answers = [await post.send(f"m-{n}") for n in range(20)]
    assert [n for n, answer in enumerate(answers) if isinstance(answer, Reject)] == [0, 6, 12]
    assert [answer.provider_id for answer in answers if isinstance(answer, Accepted)] == [f"2.0.0 kept as {n}" for n in range(1, 18)]
    assert post.inbox.connections == 1


async def test_a_connection_cut_between_two_mails_costs_nothing(post: Post) -> None:
    """The next mail goes over a new connection, at the first attempt."""
    await post.send()
    post.inbox.close_connections()
    assert await post.send("m-2") == Accepted(provider_id="2.0.0 kept as 2")
    assert post.inbox.connections == 2


class Script:
    """A server that answers each piece it is sent with the next line of a script, whatever was asked."""

    def __init__(self, *replies: bytes) -> None:
        self.heard = b""
        self.ended = asyncio.Event()
        self._replies = iter((b"220 hi\r\n", b"250-hi\r\n250 PIPELINING\r\n", *replies))

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the script ends."""
        with suppress(ConnectionError):
            for reply in self._replies:
                writer.write(reply)
                self.heard += await reader.read(65_536)
            await reader.read()
        writer.close()
        self.ended.set()


async def answer_of_script(script: Script) -> Answer:
    """Return what a sender makes of a scripted server."""
    async with await asyncio.start_server(script.talk, "127.0.0.1", 0) as server:
        sender = sender_to(server.sockets[0].getsockname()[1])
        answer = await sender.send(mail())
        await sender.close()
        await script.ended.wait()
    return answer


async def test_no_content_follows_a_refused_recipient_even_where_the_server_asks_for_it() -> None:
    """RFC 2920, 3.1: DATA may be agreed to although no recipient was; the connection is closed then, and no mail sent."""
    script = Script(b"250 ok\r\n550 5.1.1 who\r\n354 go on\r\n")
    answer = await answer_of_script(script)
    assert answer == Reject("address_dead", "recipient", suppress=True, detail="550 5.1.1 who")
    assert b"Message-ID" not in script.heard
    assert script.heard.endswith(b"MAIL FROM:<povod@localhost>\r\nRCPT TO:<ann@shop.example>\r\nDATA\r\n")


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ((b"250 ok\r\n250 ok\r\n354 go",), Retry("timeout", scope="channel")),
        ((b"250 ok\r\n250 ok\r\n354 go on\r\n", b"250-a\r\n250 b\r\n"), Accepted(provider_id="a")),
        ((b"250 ok\r\nnonsense\r\n",), Retry("smtp_greeting", scope="channel")),
        ((b"250 ok\r\n250 ok\r\n354 go on\r\n", b"nonsense\r\n"), Unknown("disconnected")),
        ((b"250-" + b"x" * 70_000,), Retry("smtp_greeting", scope="channel")),
    ],
)
async def test_what_is_no_reply_is_an_answer_too(replies: tuple[bytes, ...], expected: Answer) -> None:
    """Replies cut off, of many lines, too long or none: before the content certainly not delivered, after it unknown."""
    answer = await answer_of_script(Script(*replies))
    assert type(answer) is type(expected)
    assert getattr(answer, "reason", None) == getattr(expected, "reason", None)
    assert getattr(answer, "provider_id", None) == getattr(expected, "provider_id", None)
