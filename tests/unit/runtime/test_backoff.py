"""Back-off: longer each time, never beyond the longest, from the start again after a success."""

from datetime import timedelta
from random import Random

from services.runtime.backoff import Backoff, BackoffPolicy

POLICY = BackoffPolicy(first=timedelta(seconds=1), longest=timedelta(seconds=5))


def test_the_limit_doubles_up_to_the_longest() -> None:
    """1, 2, 4, 5, 5 seconds, and no overflow after a long outage."""
    assert [POLICY.limit(n).total_seconds() for n in (0, 1, 2, 3, 4, 10**9)] == [1, 2, 4, 5, 5, 5]


def test_waits_lie_between_half_and_the_whole_limit() -> None:
    """Jitter spreads callers, but never to nothing."""
    backoff = Backoff(POLICY, chance=Random(1))
    waits = [backoff.next_wait().total_seconds() for _ in range(6)]
    assert all(limit / 2 <= wait <= limit for wait, limit in zip(waits, (1, 2, 4, 5, 5, 5), strict=True))
    assert len(set(waits)) == 6


def test_a_success_begins_anew() -> None:
    """After a reset the wait is short again."""
    backoff = Backoff(POLICY, chance=Random(1))
    for _ in range(5):
        backoff.next_wait()
    backoff.reset()
    assert backoff.next_wait() <= timedelta(seconds=1)
