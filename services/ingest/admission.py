"""Who is let in now: a token bucket a write key, and the bytes of all requests that are not answered yet."""

import math

from services.ingest.refusals import RETRY_AFTER, RequestRefused


class RateLimit:
    """At most `rate` events a second and key, in bursts of up to `rate`; 0 is no limit. A key may have a rate of its own.

    A request is let in while its key's bucket holds anything, and pays for its events afterwards: only then is their number known.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._buckets: dict[str, tuple[float, float]] = {}

    def admit(self, key: str, now: float, own: int = 0) -> None:
        """Raise `RequestRefused` (429) while the key is in debt.

        `now` in seconds of a clock that never goes back, `own` the key's own rate (0: the general one).
        """
        rate = own or self._rate
        if not rate:
            return
        left = self._left(key, now, rate)
        if left <= 0:
            wait = max(1, math.ceil(-left / rate))
            raise RequestRefused("rate_limited", f"this key may post {rate} events a second", retry_after=wait)

    def charge(self, key: str, events: int, now: float, own: int = 0) -> None:
        """Take the events of an admitted request off the bucket."""
        if rate := own or self._rate:
            self._buckets[key] = (self._left(key, now, rate) - events, now)

    def _left(self, key: str, now: float, rate: int) -> float:
        left, at = self._buckets.get(key, (float(rate), now))
        return min(float(rate), left + (now - at) * rate)


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
