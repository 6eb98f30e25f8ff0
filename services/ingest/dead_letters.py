"""Rejected events go to `povod.events.dlq`, as well as it goes: their sender has been told, and may send them again mended."""

from collections.abc import Sequence
from datetime import datetime

import structlog

from services.contracts.errors import PovodError
from services.contracts.topics import REJECTED
from services.ingest.judge import Reject
from services.runtime.eventlog.port import EventLog, OutgoingRecord
from services.runtime.telemetry.metrics import DEAD_LETTERS, Metrics

NOT_KEPT = "not_kept"
"""The reason under which rejected events are counted that the log did not take."""
_log = structlog.get_logger()


async def bury(log: EventLog, metrics: Metrics, rejects: Sequence[Reject], source: str, at: datetime) -> None:
    """Append rejected events with the headers `reason`, `error`, `source` (the write key's name) and `at`; never raises."""
    try:
        await log.append(REJECTED, [_record(reject, source, at) for reject in rejects])
    except PovodError as error:
        _log.warning("rejected events were not kept", action="dead_letters.dropped", count=len(rejects), error=str(error))
        metrics.add(DEAD_LETTERS, len(rejects), topic=REJECTED, reason=NOT_KEPT)
        return
    for reject in rejects:
        metrics.add(DEAD_LETTERS, topic=REJECTED, reason=reject.code)


def _record(reject: Reject, source: str, at: datetime) -> OutgoingRecord:
    headers = {"reason": reject.code, "error": reject.message, "source": source, "at": at.isoformat()}
    return OutgoingRecord(reject.key, reject.value, tuple((name, content.encode("utf-8", "replace")) for name, content in headers.items()))
