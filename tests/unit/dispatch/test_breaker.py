"""The circuit breaker: opens after consecutive failures of the provider, probes with one message, burns nothing."""

from datetime import timedelta

from services.dispatch.breaker import THRESHOLD, Breaker
from services.dispatch.channels.port import Accepted, Reject, Retry, Unknown
from tests.dispatch_builders import START

DOWN = Retry("connection_failed", scope="channel")
SECOND = timedelta(seconds=1)


def opened() -> Breaker:
    """Return a breaker that has just opened, for five seconds."""
    breaker = Breaker()
    for _ in range(THRESHOLD):
        breaker.note(DOWN, START)
    return breaker


def test_it_opens_at_the_threshold_and_not_before() -> None:
    """Four failures leave it closed, the fifth opens it; while it is open nothing may be claimed or begun."""
    breaker = Breaker()
    for _ in range(THRESHOLD - 1):
        breaker.note(DOWN, START)
    assert breaker.allowance(START, 200) == 200
    breaker.note(DOWN, START)
    assert breaker.allowance(START, 200) == 0
    assert not breaker.may_send(START + 4 * SECOND)


def test_a_success_between_failures_keeps_it_closed() -> None:
    """Only failures in a row count; a refusal of one message shows that the provider is alive."""
    breaker = Breaker()
    for _ in range(20):
        breaker.note(DOWN, START)
        breaker.note(Unknown("timeout"), START)
        breaker.note(Reject("smtp_550", "recipient"), START)
    assert breaker.allowance(START, 200) == 200


def test_one_probe_is_let_through_and_no_second() -> None:
    """After the pause one message may be claimed; until its answer none."""
    breaker = opened()
    assert breaker.allowance(START + 5 * SECOND, 200) == 1
    breaker.probe()
    assert breaker.allowance(START + 6 * SECOND, 200) == 0
    assert breaker.may_send(START + 6 * SECOND)


def test_a_good_probe_closes_it_a_bad_one_doubles_the_pause() -> None:
    """The probe's answer decides; pauses grow to a minute."""
    breaker = opened()
    breaker.probe()
    breaker.note(DOWN, START + 5 * SECOND)
    assert (breaker.allowance(START + 14 * SECOND, 200), breaker.allowance(START + 15 * SECOND, 200)) == (0, 1)
    breaker.probe()
    breaker.note(Accepted(), START + 15 * SECOND)
    assert breaker.allowance(START + 15 * SECOND, 200) == 200


def test_a_probe_that_was_not_sent_leaves_room_for_another() -> None:
    """A probe that was recalled or could not be rendered is no answer."""
    breaker = opened()
    breaker.probe()
    breaker.abandon_probe()
    assert breaker.allowance(START + 5 * SECOND, 200) == 1


def test_the_providers_own_pause_is_obeyed_at_once() -> None:
    """A flood answer holds the channel for as long as it says, from the first one on."""
    breaker = Breaker()
    breaker.note(Retry("flood", after=30 * SECOND, scope="channel"), START)
    assert (breaker.allowance(START + 29 * SECOND, 200), breaker.allowance(START + 30 * SECOND, 200)) == (0, 1)
