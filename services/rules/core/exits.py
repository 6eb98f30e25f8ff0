"""Exits: an event that takes away the reason to write ends enrolments at once, cancels what waits and recalls what is on its way."""

from collections.abc import Iterator, Mapping

from services.contracts.decisions import Reason, Verdict
from services.contracts.events import Event
from services.contracts.ids import EnrolmentId, StepId
from services.contracts.messages import Recall
from services.rules.core.document import Enrolment
from services.rules.core.effects import Publish
from services.rules.core.entries import mark_exit
from services.rules.core.exit_memory import exit_matches, remember_exits
from services.rules.core.turn import Turn

RECALL_REASON = "exited"


def apply_exits(turn: Turn, event: Event) -> None:
    """End the enrolments that this event ends, on the version with which each began, and remember it for triggers that arrive late.

    An event that happened before an enrolment's trigger does not end it, whenever it arrives.
    """
    if event.type not in turn.ruleset.exit_types:
        return
    for enrolment in in_order(turn.document.enrolments):
        journey = turn.ruleset.versions.get(enrolment.version)
        if journey is None or turn.happened_at < enrolment.triggered_at:
            continue
        if any(exit_matches(turn, rule, enrolment.trigger_data) for rule in journey.exit_on):
            leave(turn, enrolment, event)
    remember_exits(turn, turn.ruleset.exits_by_event.get(event.type, ()))


def in_order(enrolments: Mapping[EnrolmentId, Enrolment]) -> list[Enrolment]:
    """Return the enrolments in an order that does not hang on when they came."""
    return sorted(enrolments.values(), key=lambda enrolment: (enrolment.journey, enrolment.key, enrolment.id)) if enrolments else []


def leave(turn: Turn, enrolment: Enrolment, event: Event) -> None:
    """End an enrolment because of this event: whatever of it waits is cancelled, what is on its way recalled."""
    if enrolment.step:
        turn.exited.append(enrolment.journey)
        mark_exit(turn, enrolment)
    for step in _silenced_steps(enrolment):
        detail = {"gates": [{"gate": "exited", "answer": "refuse", "reason": "exited", "exit_event": event.id, "exit_type": event.type}]}
        turn.record(enrolment.journey, enrolment.key, step, Verdict.SKIPPED, Reason.EXITED, detail)
    for pending in enrolment.pending:
        recall = Recall(
            message_id=pending.id,
            customer=turn.document.customer,
            reason=RECALL_REASON,
            recalled_at=turn.now,
            traceparent=event.traceparent,
        )
        turn.effects.append(Publish(recall))
    turn.drop(enrolment.id)


def _silenced_steps(enrolment: Enrolment) -> Iterator[StepId]:
    """Yield where the enrolment was cut off: a row of the ledger each, so that the silence after an exit has its reason too."""
    if enrolment.step:
        yield enrolment.step
    yield from (deferred.step for deferred in enrolment.deferred if deferred.fallback)
