"""Gates before a message that ask whether it still makes sense at all."""

from services.contracts.decisions import Reason
from services.rules.core.exit_memory import exit_seen_after
from services.rules.core.gates.answer import Answer
from services.rules.core.gates.entrance import stage_answer
from services.rules.core.turn import Candidate, Turn


def expired(turn: Turn, candidate: Candidate) -> Answer:
    """Refuse what is no longer worth sending: its `valid_for` is over."""
    seen = {"expires_at": candidate.expires_at.isoformat()}
    return Answer("expired", Reason.EXPIRED if candidate.expires_at <= turn.now else None, seen=seen)


def stage(turn: Turn, candidate: Candidate) -> Answer:
    """Refuse where the customer has left the journey's stages since they entered it."""
    return stage_answer(turn, candidate.journey)


def not_exited(turn: Turn, candidate: Candidate) -> Answer:
    """Refuse where an exit of the journey was seen after the trigger (it ended the enrolment; a safeguard for what was deferred)."""
    seen_at = exit_seen_after(turn, candidate.journey, candidate.enrolment.triggered_at, candidate.enrolment.trigger_data)
    return Answer("exited") if seen_at is None else Answer("exited", Reason.EXITED, seen={"exit_at": seen_at.isoformat()})
