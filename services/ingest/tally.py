"""Count what became of events: by key and door, and of the rejected ones by reason too; and how long their requests took."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from services.ingest.judge import Judged, Reject
from services.runtime.telemetry.metrics import INGEST_EVENTS, INGEST_REFUSED, INGEST_REJECTS, INGEST_SECONDS, Metrics


class _Counters(NamedTuple):
    accepted: Callable[[float], None]
    duplicate: Callable[[float], None]
    rejected: Callable[[float], None]


class Tally:
    """Counts into the metrics; what counts a key at a door is looked up once. One for a process."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._counters: dict[tuple[str, str], _Counters] = {}
        self._seconds: dict[int, Callable[[float], None]] = {}

    def count(self, key: str, door: str, judged: Judged) -> None:
        """Count a request's events."""
        accepted, duplicates, rejected = judged.counts
        counters = self._counters.get((key, door)) or self._look_up(key, door)
        if accepted:
            counters.accepted(accepted)
        if duplicates:
            counters.duplicate(duplicates)
        if rejected:
            counters.rejected(rejected)
            self._count_reasons(key, door, judged.rejects)

    def count_refused(self, key: str, door: str, code: str) -> None:
        """Count a request that was refused as a whole; `key` is empty where it is not known."""
        self._metrics.add(INGEST_REFUSED, key=key, door=door, code=code)

    def note_end(self, status: int, seconds: float) -> None:
        """Note how long an answer of that status took."""
        if (noting := self._seconds.get(status)) is None:
            noting = self._seconds[status] = self._metrics.histogram(INGEST_SECONDS, status=str(status))
        noting(seconds)

    def _count_reasons(self, key: str, door: str, rejects: Sequence[Reject]) -> None:
        for code, number in Counter(reject.code for reject in rejects).items():
            self._metrics.add(INGEST_REJECTS, number, key=key, door=door, code=code)

    def _look_up(self, key: str, door: str) -> _Counters:
        verdicts = ("accepted", "duplicate_in_request", "rejected")
        found = _Counters(*(self._metrics.counter(INGEST_EVENTS, key=key, door=door, verdict=verdict) for verdict in verdicts))
        self._counters[key, door] = found
        return found
