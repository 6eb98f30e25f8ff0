"""What must be true after the dust has settled: every finding is a sentence, none is the goal."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import text

from services.contracts.moments import from_micros
from services.runtime.database import Database
from tests.kill.model import HistoryRow, LedgerRow, replay

_MAY_BE_MISSING = {"unknown", "refused", "recalled", "expired"}


class Figures(NamedTuple):
    """What was compared, for the closing line."""

    events: int
    decisions: int
    messages: int
    twice: int
    unsent: int


class Evidence(NamedTuple):
    """Everything the database knows at the end."""

    history: tuple[HistoryRow, ...]
    posted_ids: tuple[str, ...]
    ledger: tuple[LedgerRow, ...]
    message_ids: dict[tuple[str, int, str, str], str]
    deliveries: dict[str, Any]


async def gather(database: Database) -> Evidence:
    """Read history, ledger and journal."""
    async with database.reading() as connection:
        history = (await connection.execute(text("SELECT * FROM history ORDER BY customer, seq"))).all()
        decisions = (await connection.execute(text("SELECT * FROM decisions ORDER BY customer, seq, n"))).all()
        deliveries = (await connection.execute(text("SELECT * FROM deliveries"))).all()
    return Evidence(
        tuple(map(_history_row, history)),
        tuple(row.input_id for row in history if row.kind == "event" and not row.type.startswith(("message.", "povod."))),
        tuple(LedgerRow(row.customer, row.seq, row.journey, row.key, row.verdict, row.reason) for row in decisions),
        {(row.customer, row.seq, row.journey, row.key): row.message_id for row in decisions if row.verdict == "sent"},
        {row.message_id: row for row in deliveries},
    )


def _history_row(row: Any) -> HistoryRow:
    now = from_micros(row.decided_at)
    if row.kind == "event":
        return HistoryRow(row.customer, row.seq, now, msgspec.json.decode(row.payload), None)
    return HistoryRow(row.customer, row.seq, now, None, datetime.fromisoformat(msgspec.json.decode(row.payload)["due_at"]))


def findings(evidence: Evidence, acknowledged: AbstractSet[str], delivered: Mapping[str, int]) -> Iterator[str]:
    """Yield every promise that was broken."""
    yield from _events(evidence, acknowledged)
    yield from _decisions(evidence)
    yield from _deliveries(evidence, delivered)


def _events(evidence: Evidence, acknowledged: AbstractSet[str]) -> Iterator[str]:
    stored = set(evidence.posted_ids)
    if lost := acknowledged - stored:
        yield f"{len(lost)} acknowledged events are not in history, e.g. {min(lost)}"
    if unknown := stored - acknowledged:
        yield f"{len(unknown)} events in history were never acknowledged, e.g. {min(unknown)}"
    if len(stored) != len(evidence.posted_ids):
        yield f"{len(evidence.posted_ids) - len(stored)} events are in history twice"


def _decisions(evidence: Evidence) -> Iterator[str]:
    expected = list(replay(evidence.history, evidence.message_ids))
    if not expected:
        yield "the model decided nothing: the comparison would prove nothing"
    actual = sorted(evidence.ledger)
    if sorted(expected) != actual:
        missing, extra = sorted(set(expected) - set(actual)), sorted(set(actual) - set(expected))
        yield f"ledger and model differ: {len(missing)} missing {missing[:3]}, {len(extra)} too many {extra[:3]}"


def _deliveries(evidence: Evidence, delivered: Mapping[str, int]) -> Iterator[str]:
    decided = set(evidence.message_ids.values())
    if strange := set(delivered) - decided:
        yield f"{len(strange)} messages were delivered that nobody decided, e.g. {min(strange)}"
    for message_id in decided:
        row, count = evidence.deliveries.get(message_id), delivered.get(message_id, 0)
        if row is None:
            yield f"message {message_id} was decided and is not in the journal"
        elif count > 2 or (count == 2 and not row.ambiguous):
            yield f"message {message_id} was delivered {count} times; journal: {row.state}, ambiguous={row.ambiguous}"
        elif count == 0 and row.state not in _MAY_BE_MISSING:
            yield f"message {message_id} was never delivered; journal: {row.state}"


def figures(evidence: Evidence, delivered: Mapping[str, int]) -> Figures:
    """Count what was compared."""
    decided = set(evidence.message_ids.values())
    return Figures(
        events=len(evidence.posted_ids),
        decisions=len(evidence.ledger),
        messages=len(decided),
        twice=sum(delivered.get(m, 0) == 2 for m in decided),
        unsent=sum(delivered.get(m, 0) == 0 for m in decided),
    )
