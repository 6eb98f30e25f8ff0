"""Records that had to be given up: kept with reason and origin, relayed to `<topic>.dlq`. Table `dead_letters` (owner: runtime).

Written in the transaction that moves the cursor past the record, so a bad record is never dropped without a trace. The limit stops the
partition where too many come at once: then the fault is not in single records.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.errors import DeadLetterLimitReached
from services.contracts.moments import to_micros
from services.runtime.eventlog.port import Record
from services.runtime.texts import storable

_PUT = text(
    "INSERT INTO dead_letters (topic, partition, record_offset, reason, error, key, value, dead_at, published)"
    " VALUES (:topic, :partition, :offset, :reason, :error, :key, :value, :dead_at, false)"
    " ON CONFLICT (topic, partition, record_offset) DO NOTHING"
)
LONGEST_ERROR = 2_000
"""Characters of an error's text that are kept."""


class DeadLetter(NamedTuple):
    """One record that was given up. `reason` is a stable lower_snake code, `error` a sentence, `dead_at` aware UTC."""

    record: Record
    reason: str
    error: str
    dead_at: datetime


async def put(connection: AsyncConnection, letters: Sequence[DeadLetter]) -> None:
    """Keep dead letters in the caller's transaction; one that is there already (same topic, partition, offset) is left as it is."""
    if letters:
        await connection.execute(_PUT, [_row(letter) for letter in letters])


def _row(letter: DeadLetter) -> dict[str, object]:
    record = letter.record
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "reason": letter.reason,
        "error": storable(letter.error)[:LONGEST_ERROR],
        "key": record.key,
        "value": record.value,
        "dead_at": to_micros(letter.dead_at),
    }


@dataclass(frozen=True)
class DeadLetterLimit:
    """At most `most` dead letters in any stretch of `within`."""

    most: int
    within: timedelta


class DeadLetterCount:
    """The running state of a limit, one a partition; takes `now`, knows no clock."""

    def __init__(self, limit: DeadLetterLimit) -> None:
        self._limit = limit
        self._noted: deque[tuple[datetime, int]] = deque()
        self._total = 0

    def admit(self, count: int, now: datetime) -> None:
        """Raise `DeadLetterLimitReached` where `count` more would pass the limit; called before they are committed, changes nothing."""
        self._forget(now)
        if self._total + count > self._limit.most:
            raise DeadLetterLimitReached(
                f"{self._total + count} records would be dead letters within {self._limit.within}, and {self._limit.most} are allowed:"
                " the fault is not in single records; look at their reasons, then raise the limit or mend the cause"
            )

    def note(self, count: int, now: datetime) -> None:
        """Count dead letters that have been committed."""
        self._noted.append((now, count))
        self._total += count

    def _forget(self, now: datetime) -> None:
        while self._noted and self._noted[0][0] <= now - self._limit.within:
            self._total -= self._noted.popleft()[1]
