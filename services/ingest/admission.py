"""Who is let in now: a token bucket a write key, and the bytes of all requests that are not answered yet."""

import math

from services.ingest.refusals import RETRY_AFTER, RequestRefused


class RateLimit:
    """At most `rate` events a second and key, in bursts of up to `rate`; 0 is no limit.

    A request is let in while its key's bucket holds anything, and pays for its events afterwards: only then is their number known.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._buckets: dict[str, tuple[float, float]] = {}

    def admit(self, key: str, now: float) -> None:
        """Raise `RequestRefused` (429) while the key is in debt. `now` in seconds of a clock that never goes back."""
        left = self._left(key, now)
        if left <= 0 < self._rate:
            wait = max(1, math.ceil(-left / self._rate))
            raise RequestRefused("rate_limited", f"this key may post {self._rate} events a second", retry_after=wait)

    def charge(self, key: str, events: int, now: float) -> None:
        """Take the events of an admitted request off the bucket."""
        if self._rate:
            self._buckets[key] = (self._left(key, now) - events, now)

    def _left(self, key: str, now: float) -> float:
        left, at = self._buckets.get(key, (float(self._rate), now))
        return min(float(self._rate), left + (now - at) * self._rate)


class InFlight:
    """Counts the bytes of unanswered requests, and refuses more than `limit` at once: memory stays bounded."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0

    def take(self, size: int) -> None:
        """Hold `size` more bytes; raises `RequestRefused` (503), holding nothing, where that would be too many."""
        if self.held + size > self._limit:
            raise RequestRefused("overloaded", "too many bytes are waiting for the event log; try again", retry_after=RETRY_AFTER)
        self.held += size

    def give_back(self, size: int) -> None:
        """Let go of bytes held."""
        self.held -= size
