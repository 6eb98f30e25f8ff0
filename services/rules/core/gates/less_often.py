"""The customer has said "less often": every cap lets half as many messages pass, but one at least where it let any."""

from collections.abc import Sequence

from services.contracts.decisions import Reason
from services.rules.core.document import CustomerDocument
from services.rules.core.gates.answer import Answer
from services.rules.core.ruleset import Cap

LESS = "less"


def wants_less(document: CustomerDocument) -> bool:
    """Say whether caps are halved for this customer."""
    return document.preference is not None and document.preference.frequency == LESS


def scaled(counts: Sequence[tuple[Cap, int]]) -> Answer:
    """Answer for halved caps, each with what its window holds; the ledger says what the cap would have been."""
    if not counts:
        return Answer("frequency_cap")
    halved = [(cap, counted, min(cap.max, max(cap.max // 2, 1))) for cap, counted in counts]
    caps = [{"cap": cap.name, "count": counted, "max": most, "usual_max": cap.max} for cap, counted, most in halved]
    full = any(counted >= most for _, counted, most in halved)
    return Answer("frequency_cap", Reason.FREQUENCY_CAP if full else None, seen={"caps": caps, "frequency": LESS})
