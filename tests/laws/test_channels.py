"""Laws of every channel: each sender against its shipped stand-in, over a real socket.

A harness knows, for its provider, how to be accepted, refused, flooded, silenced; the laws are the same for all.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest

from services.dispatch.channels.port import Accepted, Reject, Retry, Unknown
from services.dispatch.standins.faults import Fault
from tests.laws.channel_harnesses import TRACE, Email, Harness, Sms, Telegram


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
