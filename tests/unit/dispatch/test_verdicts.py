"""Verdicts, pure: what stands against a message when it is claimed, how long a retry waits."""

from datetime import timedelta
from random import Random

import pytest

from services.contracts.messages import Window
from services.dispatch.channels.port import Retry, Unknown
from services.dispatch.states import Delivery, State
from services.dispatch.verdicts import Facts, RetryPolicy, judge, next_allowed, not_begun, settle
from tests.dispatch_builders import START, make_message

HOUR = timedelta(hours=1)
POLICY = RetryPolicy(max_attempts=3, base=timedelta(seconds=30), cap=timedelta(minutes=10))
FREE = Facts({}, frozenset(), "smtp")
DELIVERY = Delivery(message=make_message("m-1"), attempt=1)


def test_the_first_no_decides() -> None:
    """Expiry comes before a refusal, a refusal before a kill switch, a kill switch before the windows."""
    message = make_message("m-1", lasts=HOUR, windows=())
    delivery = Delivery(message=message)
    everything = Facts({message.message_id: "unsubscribed"}, frozenset({("all", "")}), "smtp")
    held = Facts({}, frozenset({("provider", "smtp")}), "smtp")
    reasons = [
        judge(delivery, facts, now).reason for facts, now in [(everything, START + HOUR), (everything, START), (held, START), (FREE, START)]
    ]
    assert reasons == ["expired", "unsubscribed", "held", "no_window_left"]


@pytest.mark.parametrize(
    ("minutes", "allowed"), [(-10, 0), (0, 0), (59, 59), (60, 120), (119, 120), (120, 120), (179, 179), (180, None), (10_000, None)]
)
def test_windows_are_half_open(minutes: int, allowed: int | None) -> None:
    """A window's start lies in it, its end does not; between two the next one's start is the answer."""
    windows = (Window(START, START + HOUR), Window(START + 2 * HOUR, START + 3 * HOUR))
    expected = None if allowed is None else START + timedelta(minutes=allowed)
    assert next_allowed(windows, START + timedelta(minutes=minutes)) == expected


@pytest.mark.parametrize(("attempt", "bound"), [(1, 30), (2, 60), (3, 120), (6, 600), (1_000, 600)])
def test_back_off_doubles_up_to_its_cap_with_full_jitter(attempt: int, bound: int) -> None:
    """Each wait lies between a tenth of its bound and the bound, spread over all of it."""
    waits = [POLICY.delay(attempt, Random(seed)).total_seconds() for seed in range(200)]
    assert bound / 10 <= min(waits) < bound / 4
    assert bound * 3 / 4 < max(waits) <= bound


def test_the_same_chance_gives_the_same_wait() -> None:
    """Jitter comes from the generator that was passed in, and from nowhere else."""
    first, second = (settle(DELIVERY, Retry("smtp_450"), START, POLICY, Random(3), at_most_once=False) for _ in range(2))
    assert first == second
    assert first.due_at is not None


def test_a_message_given_back_has_its_attempt_again() -> None:
    """What was announced and not begun waits as it did before: queued, for a retry, or ambiguous."""
    states = [not_begun(Delivery(message=DELIVERY.message, attempt=a, ambiguous=b), START) for a, b in [(1, 0), (2, 0), (2, 1)]]
    assert [(verdict.state, verdict.attempt) for verdict in states] == [(State.QUEUED, 0), (State.RETRY_AT, 1), (State.AMBIGUOUS, 1)]


def test_what_a_provider_says_is_made_storable() -> None:
    """Details are cut at 500 characters, and NUL and lone surrogates are written as escapes."""
    verdict = settle(DELIVERY, Unknown("timeout", "a\x00b\ud83d" + "x" * 1_000), START, POLICY, Random(1), at_most_once=True)
    assert verdict.detail is not None
    assert verdict.detail.startswith("a\\x00b\\ud83dxxx")
    assert len(verdict.detail) == 500
