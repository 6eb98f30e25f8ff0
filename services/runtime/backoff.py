"""Waiting longer after each failure in a row: exponential, with jitter, in real time."""

from dataclasses import dataclass
from datetime import timedelta
from random import Random


@dataclass(frozen=True)
class BackoffPolicy:
    """The n-th wait in a row is half to the whole of `first` * 2^n, at most `longest`."""

    first: timedelta = timedelta(milliseconds=100)
    longest: timedelta = timedelta(seconds=5)

    def limit(self, failures: int) -> timedelta:
        """Return the upper bound of the wait after that many failures before."""
        return min(self.first * (1 << min(failures, 30)), self.longest)


class Backoff:
    """The running state of one caller: `next_wait` after a failure, `reset` after a success."""

    def __init__(self, policy: BackoffPolicy = BackoffPolicy(), *, chance: Random | None = None) -> None:
        self._policy = policy
        self._chance = chance or Random()  # noqa: S311 - jitter, no secret
        self._failures = 0

    def reset(self) -> None:
        """Begin anew: it works again."""
        self._failures = 0

    def next_wait(self) -> timedelta:
        """Return how long to wait after one more failure."""
        limit = self._policy.limit(self._failures)
        self._failures += 1
        return limit * self._chance.uniform(0.5, 1.0)
