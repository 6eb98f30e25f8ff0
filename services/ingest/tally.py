"""Count what became of events: by key and door, and of the rejected ones by reason too."""

from collections import Counter

from services.ingest.judge import Judged
from services.runtime.telemetry.metrics import INGEST_EVENTS, INGEST_REFUSED, INGEST_REJECTS, Metrics

VERDICTS = ("accepted", "duplicate_in_request", "rejected")


def count(metrics: Metrics, key: str, door: str, judged: Judged) -> None:
    """Count a request's events."""
    for verdict, number in zip(VERDICTS, judged.counts, strict=True):
        if number:
            metrics.add(INGEST_EVENTS, number, key=key, door=door, verdict=verdict)
    if judged.rejects:
        for code, number in Counter(reject.code for reject in judged.rejects).items():
            metrics.add(INGEST_REJECTS, number, key=key, door=door, code=code)


def count_refused(metrics: Metrics, key: str, door: str, code: str) -> None:
    """Count a request that was refused as a whole; `key` is empty where it is not known."""
    metrics.add(INGEST_REFUSED, key=key, door=door, code=code)
