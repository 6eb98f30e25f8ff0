"""Was the last message long enough ago?"""

from collections.abc import Iterable
from datetime import datetime

from services.contracts.decisions import Reason
from services.contracts.ids import Channel
from services.rules.core.document import Slot
from services.rules.core.gates.answer import Answer
from services.rules.core.turn import Candidate, Turn


def last_sent_at(slots: Iterable[Slot], now: datetime) -> datetime | None:
    """Return when the last message went out; one of which nothing was reported yet may go out this very moment."""
    return max((min(slot.latest_at, max(slot.earliest_at, now)) for slot in slots), default=None)


def gap(turn: Turn, candidate: Candidate, channel: Channel) -> Answer:  # noqa: ARG001 - the gates' common shape
    """Defer until the minimum gap between any two messages is over; refuse where that is too late for this one."""
    least = turn.ruleset.policy.min_gap
    last = last_sent_at(turn.document.slots.values(), turn.now) if least else None
    if not least or last is None:
        return Answer("gap")
    seen = {"least_s": least.total_seconds(), "last_at": last.isoformat()}
    until = last + least
    if until <= turn.now:
        return Answer("gap", seen=seen)
    return Answer("gap", Reason.GAP, until=until if until < candidate.expires_at else None, seen=seen)
