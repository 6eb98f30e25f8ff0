"""The dispatch service whole: from the log to a provider's stand-in over a socket, and the outcomes back, on both databases."""

import asyncio
import email
from collections.abc import Callable
from datetime import timedelta
from email.policy import default
from operator import itemgetter

from structlog.testing import capture_logs

from services.consent.claims import UnsubscribeClaim
from services.contracts.ids import ContentHash
from services.dispatch import holds
from services.dispatch.channels.unconfigured import UnconfiguredSender
from services.dispatch.standins.faults import Fault
from services.dispatch.standins.smtp_inbox import CLOSE
from services.dispatch.standins.telegram_api import flood
from tests.dispatch_builders import EMAIL, SMS, START, TELEGRAM, make_message, make_recall
from tests.dispatch_post import SIGNER, UNDER_WAY, Post


async def _until(is_true: Callable[[], bool]) -> None:
    """Return when something observable from outside has become true; the caller bounds the waiting."""
    while not is_true():  # noqa: ASYNC110 - stand-ins and counters tell nobody
        await asyncio.sleep(0.01)


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
    assert SIGNER.read(token, UnsubscribeClaim) == UnsubscribeClaim(make_message().customer, EMAIL, make_message("m-1").message_id)
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
    await post.settled("m-1", states=UNDER_WAY)
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


async def test_each_attempt_is_one_log_line_with_its_trace_and_no_address(post: Post) -> None:
    """A line tells message, channel, journey, attempt, answer, trace and what became of it; never to whom it went."""
    post.inbox.script("rcpt", "450 4.2.1 later")
    with capture_logs() as lines:
        await post.send(make_message("m-1", template_version=post.version), make_message("s-1", channel=SMS, template_version=post.version))
        await post.settled("m-1", "s-1")
    attempts = sorted((line for line in lines if line["action"].startswith("message.")), key=itemgetter("message_id"))
    traced = {"event": "attempted", "log_level": "info", "journey": "cart", "attempt": 1, "traceparent": make_message().traceparent}
    retried = {"action": "message.retry_at", "message_id": "m-1", "channel": "email", "answer": "retry", "reason": "smtp_450"}
    sent = {"action": "message.sent", "message_id": "s-1", "channel": "sms", "answer": "accepted", "reason": None}
    assert attempts == [traced | retried, traced | sent]
