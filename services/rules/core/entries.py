"""What re-entry rules remember of an enrolment after it opened: its exit and its last message."""

from datetime import datetime
from typing import Literal

import msgspec

from services.rules.core.document import Enrolment
from services.rules.core.turn import Turn


def mark_exit(turn: Turn, enrolment: Enrolment) -> None:
    """Note when the enrolment ended."""
    _mark(turn, enrolment, "exited_at", turn.at)


def mark_send(turn: Turn, enrolment: Enrolment) -> None:
    """Note when the enrolment last had a message sent."""
    _mark(turn, enrolment, "sent_at", turn.at)


def _mark(turn: Turn, enrolment: Enrolment, field: Literal["exited_at", "sent_at"], moment: datetime) -> None:
    keys = turn.document.entries.get(enrolment.journey)
    entry = keys.get(enrolment.key) if keys else None
    if keys and entry is not None:
        marked = msgspec.structs.replace(entry, **{field: moment})
        turn.document.entries = {**turn.document.entries, enrolment.journey: {**keys, enrolment.key: marked}}
