"""What a gate says."""

from datetime import datetime
from typing import Any

import msgspec

from services.contracts.decisions import Reason


class Answer(msgspec.Struct, frozen=True):
    """One gate's answer and what it saw (`seen`: JSON values, kept in the ledger).

    `reason` is `None` where the gate lets pass. With `until` the candidate is deferred to then instead of skipped.
    """

    gate: str
    reason: Reason | None = None
    until: datetime | None = None
    seen: dict[str, Any] = {}

    def to_detail(self) -> dict[str, Any]:
        """Return the ledger's form."""
        if self.reason is None:
            return {"gate": self.gate, "answer": "pass", **self.seen}
        if self.until is None:
            return {"gate": self.gate, "answer": "refuse", "reason": self.reason.value, **self.seen}
        return {"gate": self.gate, "answer": "defer", "reason": self.reason.value, "until": self.until.isoformat(), **self.seen}
