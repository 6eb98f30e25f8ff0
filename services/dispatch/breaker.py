"""The circuit breaker of a channel: stops calling a provider that is down, and asks it with one message whether it is back.

State apart from I/O and clock: every method takes `now`. While it is open nothing is claimed, so no attempt is burned.
"""

from datetime import datetime, timedelta

from services.dispatch.channels.port import Answer, Reject, Retry, Unknown

THRESHOLD = 5
"""Consecutive failures of the provider itself that open it."""
_FIRST_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(minutes=1)


class Breaker:
    """Closed, open until a moment, or half-open with one probe under way."""

    def __init__(self, threshold: int = THRESHOLD) -> None:
        self._threshold = threshold
        self._failures = 0
        self._pause = _FIRST_PAUSE
        self._closed_until: datetime | None = None
        self._is_probing = False

    @property
    def paused_until(self) -> datetime | None:
        """Return until when nothing may be sent, None where there is no pause (it may lie in the past: a probe is due)."""
        return self._closed_until

    def allowance(self, now: datetime, normal: int) -> int:
        """Return how many messages may be claimed now: `normal`, none while it is open, one as a probe."""
        if self._closed_until is None:
            return normal
        return 0 if self._is_probing or now < self._closed_until else 1

    def may_send(self, now: datetime) -> bool:
        """Say whether a message that was claimed earlier may still be begun."""
        return self._closed_until is None or now >= self._closed_until

    def probe(self) -> None:
        """Note that the one probe of a half-open breaker has been claimed."""
        self._is_probing = self._closed_until is not None

    def abandon_probe(self) -> None:
        """Note that the probe was not sent after all (it was recalled, refused or could not be rendered)."""
        self._is_probing = False

    def note(self, answer: Answer, now: datetime) -> None:
        """Take an answer into account."""
        if isinstance(answer, Retry) and answer.scope == "channel" and answer.after is not None:
            self._hold(now + answer.after)  # the provider itself said how long; that is no failure of its
        elif _is_failure(answer):
            self._fail(now)
        else:
            self._failures, self._pause, self._closed_until, self._is_probing = 0, _FIRST_PAUSE, None, False

    def _fail(self, now: datetime) -> None:
        self._failures += 1
        if self._is_probing or self._failures >= self._threshold:
            self._hold(now + self._pause)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def _hold(self, until: datetime) -> None:
        self._closed_until = max(until, self._closed_until or until)
        self._is_probing = False


def _is_failure(answer: Answer) -> bool:
    match answer:
        case Unknown() | Retry(scope="channel") | Reject(kind="config"):
            return True
        case _:
            return False
