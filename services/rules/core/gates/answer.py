"""What a gate says."""

from datetime import datetime
from typing import Any

import msgspec

from services.contracts.decisions import Reason
from services.contracts.ids import Channel


class Answer(msgspec.Struct, frozen=True):
    """One gate's answer and what it saw (`seen`: JSON values, kept in the ledger).

    `channel` is the one that was asked about, where gates are asked for each. `reason` is `None` where the gate lets pass. With `until`
    the candidate is deferred to then instead of skipped.
    """

    gate: str
    reason: Reason | None = None
    until: datetime | None = None
    seen: dict[str, Any] = {}
    channel: Channel | None = None

    def to_detail(self) -> dict[str, Any]:
        """Return the ledger's form."""
        about = {"gate": self.gate} if self.channel is None else {"gate": self.gate, "channel": self.channel}
        if self.reason is None:
            return {**about, "answer": "pass", **self.seen}
        if self.until is None:
            return {**about, "answer": "refuse", "reason": self.reason.value, **self.seen}
        return {**about, "answer": "defer", "reason": self.reason.value, "until": self.until.isoformat(), **self.seen}
