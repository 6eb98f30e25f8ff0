"""Claims on both databases: what a claim gives, refuses, holds or puts off."""

from datetime import timedelta

import pytest

from services.consent import suppressions
from services.consent.ledger import ConsentState
from services.consent.suppressions import Suppression
from services.contracts.messages import Kind, Window
from services.contracts.moments import from_micros
from services.dispatch import holds
from services.dispatch.channels.port import Retry
from services.dispatch.journal import CLAIM_LEASE
from tests.dispatch_builders import EMAIL, SMS, START, make_message
from tests.dispatch_desk import LEASE, Desk, consent

HOUR = timedelta(hours=1)


async def pause(desk: Desk, scope: holds.Scope, name: str = "") -> None:
    """Set a kill switch."""
    async with desk.database.transaction() as connection:
        await holds.hold(connection, scope, name, desk.clock.now(), "tester")


async def resume(desk: Desk, scope: holds.Scope, name: str = "") -> bool:
    """Lift a kill switch; say whether it was set."""
    async with desk.database.transaction() as connection:
        return await holds.release(connection, scope, name, desk.clock.now())


class TestClaims:
    """Who gets what, and what stands against it."""

    async def test_two_workers_never_claim_the_same_message(self, desk: Desk) -> None:
        """What one claim holds no other gets; together they get everything."""
        await desk.take(*(make_message(f"m-{n}") for n in range(10)))
        first, second = await desk.claim("a/1/email/1", 4), await desk.claim("b/1/email/1", 100)
        names = [delivery.message.message_id for delivery in (*first, *second)]
        assert (len(first), len(second), sorted(names)) == (4, 6, sorted(f"m-{n}" for n in range(10)))

    async def test_a_claim_is_of_one_channel(self, desk: Desk) -> None:
        """A channel's worker does not see another channel's messages."""
        await desk.take(make_message("m-1"), make_message("m-2", channel=SMS))
        assert [delivery.message.message_id for delivery in await desk.claim()] == ["m-1"]

    async def test_an_expired_message_is_not_sent(self, desk: Desk) -> None:
        """At its expiry a message ends as expired, with one outcome."""
        await desk.take(make_message("m-1", lasts=HOUR))
        desk.advance(HOUR)
        assert await desk.claim() == ()
        assert await desk.states() == {"m-1": "expired"}
        assert await desk.outcome_ids() == ["m-1:expired:0"]
        assert from_micros((await desk.row("m-1")).ended_at) == START + HOUR

    async def test_outside_its_windows_a_message_waits_for_the_next(self, desk: Desk) -> None:
        """Between two windows the due time moves to the next one's start; inside it the message goes; after the last it expires."""
        windows = (Window(START, START + HOUR), Window(START + 5 * HOUR, START + 6 * HOUR))
        await desk.take(make_message("m-1", windows=windows), make_message("m-2", windows=windows[:1]))
        desk.advance(2 * HOUR)
        assert await desk.claim() == ()
        row = await desk.row("m-1")
        assert (row.state, from_micros(row.due_at)) == ("queued", START + 5 * HOUR)
        desk.advance(3 * HOUR)
        assert [delivery.message.message_id for delivery in await desk.claim()] == ["m-1"]
        assert (await desk.row("m-2")).state == "expired"
        assert [event.data["reason"] for event in await desk.outcomes()] == ["no_window_left"]

    async def test_a_retry_obeys_the_windows_too(self, desk: Desk) -> None:
        """A message whose retry comes due in the quiet hours waits for the morning."""
        windows = (Window(START, START + timedelta(minutes=1)), Window(START + 5 * HOUR, START + 6 * HOUR))
        await desk.take(make_message("m-1", windows=windows))
        await desk.answer(Retry("smtp_450", after=timedelta(minutes=10)))
        desk.advance(HOUR)
        assert await desk.claim() == ()
        row = await desk.row("m-1")
        assert (row.state, row.attempt, from_micros(row.due_at)) == ("retry_at", 1, START + 5 * HOUR)

    @pytest.mark.parametrize(
        ("channel", "topic", "kind", "goes"),
        [
            ("email", "all", Kind.REGULAR, False),
            ("email", "all", Kind.SERVICE, False),
            ("all", "all", Kind.SERVICE, False),
            ("email", "marketing", Kind.REGULAR, False),
            ("email", "marketing", Kind.INCENTIVE, False),
            ("email", "marketing", Kind.SERVICE, True),
            ("sms", "all", Kind.REGULAR, True),
        ],
    )
    async def test_an_unsubscribed_customer_gets_nothing(self, desk: Desk, channel: str, topic: str, kind: Kind, *, goes: bool) -> None:
        """An unsubscribe stops what it is about: the channel or all of them, everything or marketing only."""
        await consent(desk, ConsentState.UNSUBSCRIBED, channel, topic)
        await desk.take(make_message("m-1", kind=kind))
        assert len(await desk.claim()) == goes
        assert await desk.states() == {"m-1": "claimed" if goes else "refused"}
        assert [(event.type, event.data["reason"]) for event in await desk.outcomes()] == (
            [] if goes else [("message.refused", "unsubscribed")]
        )

    async def test_the_latest_statement_counts(self, desk: Desk) -> None:
        """Whoever subscribed again after an unsubscribe is written to."""
        await consent(desk, ConsentState.UNSUBSCRIBED, minutes=-60)
        await consent(desk, ConsentState.SUBSCRIBED, minutes=-30)
        await desk.take(make_message("m-1"))
        assert len(await desk.claim()) == 1

    async def test_a_suppressed_address_gets_nothing_whoever_gives_it(self, desk: Desk) -> None:
        """Suppression is by channel and address, whatever its spelling, not by customer."""
        async with desk.database.transaction() as connection:
            await suppressions.add(connection, [Suppression(EMAIL, "Shared@shop.example", "address_dead", START)])
        await desk.take(
            make_message("m-1", customer="ann", recipient="shared@SHOP.example"),
            make_message("m-2", customer="bob", recipient="shared@shop.example"),
            make_message("m-3", customer="bob"),
        )
        assert [delivery.message.message_id for delivery in await desk.claim()] == ["m-3"]
        assert {event.data["reason"] for event in await desk.outcomes()} == {"suppressed"}

    async def test_a_claim_that_does_not_begin_is_claimed_again(self, desk: Desk) -> None:
        """Five seconds after a claim whose sending has not begun its messages wait again, and the late claimer can't begin."""
        await desk.take(make_message("m-1"))
        claimed = await desk.claim("a/1/email/1")
        desk.machine.advance(CLAIM_LEASE - timedelta(microseconds=1))
        assert await desk.journal().recover(at_most_once=False) == 0
        desk.machine.advance(timedelta(microseconds=1))
        assert await desk.journal().recover(at_most_once=False) == 1
        assert len(await desk.begin("b/1/email/1")) == 1
        assert await desk.journal().begin("a/1/email/1", claimed, LEASE) == []
        assert (await desk.row("m-1")).attempt == 1


class TestHolds:
    """Kill switches."""

    @pytest.mark.parametrize(
        ("scope", "name"), [("all", ""), ("channel", "email"), ("provider", "smtp"), ("journey", "cart"), ("template", "cart-reminder")]
    )
    async def test_a_switch_holds_and_does_not_drop(self, desk: Desk, scope: holds.Scope, name: str) -> None:
        """What a switch covers stays queued without an outcome, and goes when the switch is lifted."""
        await desk.take(make_message("m-1"))
        await pause(desk, scope, name)
        assert await desk.claim() == ()
        row = await desk.row("m-1")
        assert (row.state, row.reason, row.ended_at) == ("queued", "held", None)
        assert await desk.outcome_ids() == []
        assert await resume(desk, scope, name)
        assert [delivery.message.message_id for delivery in await desk.claim()] == ["m-1"]

    async def test_a_switch_leaves_others_alone(self, desk: Desk) -> None:
        """Other journeys go on while one is held; held ones don't use up the claim's places the next time."""
        await desk.take(*(make_message(f"m-{n}") for n in range(5)), make_message("m-w", journey="welcome"))
        await pause(desk, "journey", "cart")
        await desk.claim(limit=5)
        assert [delivery.message.message_id for delivery in await desk.claim(limit=5)] == ["m-w"]

    async def test_a_held_message_still_expires(self, desk: Desk) -> None:
        """A message that is held until its expiry ends as expired."""
        await pause(desk, "all")
        await desk.take(make_message("m-1", lasts=HOUR))
        await desk.claim()
        desk.advance(HOUR)
        await desk.claim()
        assert await desk.states() == {"m-1": "expired"}

    async def test_two_switches_must_both_be_lifted(self, desk: Desk) -> None:
        """Lifting one of two switches that cover a message leaves it held."""
        await pause(desk, "all")
        await pause(desk, "journey", "cart")
        await desk.take(make_message("m-1"))
        await desk.claim()
        assert await resume(desk, "all")
        assert await desk.claim() == ()
        assert await resume(desk, "journey", "cart")
        assert len(await desk.claim()) == 1

    async def test_lifting_what_is_not_set_says_so(self, desk: Desk) -> None:
        """Resuming what nobody paused is harmless and is told."""
        assert not await resume(desk, "channel", "email")
