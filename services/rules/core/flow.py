"""The way of an enrolment through its journey's steps, until it waits, has something to send, or ends."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from services.contracts.decisions import Reason, Verdict
from services.contracts.ids import StepId
from services.rules.core.document import Deferred, Enrolment
from services.rules.core.entries import mark_exit
from services.rules.core.ruleset import ExitStep, IfStep, Instruction, Journey, SendStep, WaitStep
from services.rules.core.turn import Candidate, Turn

MAX_STEPS = 100
"""Steps of one enrolment in one go; beyond it, the enrolment ends with `loop_limit`."""
MAX_ENDED = 200
"""Ended enrolments that are kept for their messages; beyond them the oldest messages can't be recalled any more, nor fall back."""
_END = StepId("")
_GRACE = timedelta(hours=1)


def go_to(turn: Turn, enrolment: Enrolment, step: StepId) -> None:
    """Move an enrolment on from `step` (empty: it ends) as far as it gets in this input."""
    journey, program = turn.ruleset.versions[enrolment.version], turn.ruleset.programs[enrolment.version]
    for _ in range(MAX_STEPS):
        if not step:
            end(turn, enrolment)
            return
        instruction = program.instructions.get(step)
        if instruction is None:
            abandon(turn, enrolment)
            return
        following = _follow(turn, enrolment, journey, instruction)
        if following is None:
            return
        step = following
    stop_looping(turn, enrolment, step)


def _follow(turn: Turn, enrolment: Enrolment, journey: Journey, instruction: Instruction) -> StepId | None:
    """Do one step; return the next one's id, `None` where the enrolment stays."""
    match instruction.step:
        case WaitStep(id=step, duration=duration):
            if duration <= timedelta(0):
                return instruction.next
            turn.put(_at(enrolment, step, turn.at + duration))
            return None
        case SendStep() as step:
            _propose(turn, turn.put(_at(enrolment, step.id, None)), journey, step)
            return None
        case IfStep(condition=condition):
            return instruction.next if _holds(turn, enrolment, condition) else instruction.otherwise
        case ExitStep():
            turn.exited.append(enrolment.journey)
            return _END


def _at(enrolment: Enrolment, step: StepId, due_at: datetime | None) -> Enrolment:
    return msgspec.structs.replace(enrolment, step=step, due_at=due_at)


def _holds(turn: Turn, enrolment: Enrolment, condition: Any) -> bool:
    trigger = enrolment.trigger_data()
    scope = turn.scope(trigger)
    scope.see(trigger, enrolment.trigger_id, enrolment.trigger_type, enrolment.triggered_at, enrolment.trigger_source)
    return bool(condition(scope))


def _propose(turn: Turn, enrolment: Enrolment, journey: Journey, step: SendStep) -> None:
    turn.candidates.append(Candidate(enrolment, journey, step, step.channels, turn.at, turn.at + step.valid_for))


def end(turn: Turn, enrolment: Enrolment) -> None:
    """End an enrolment that has come to its last step; `settle` forgets it when no message of it is on its way."""
    mark_exit(turn, enrolment)
    turn.put(_at(enrolment, _END, None))


def stop_looping(turn: Turn, enrolment: Enrolment, step: StepId) -> None:
    """End an enrolment that has gone too far in one input."""
    turn.record(enrolment.journey, enrolment.key, step, Verdict.SKIPPED, Reason.LOOP_LIMIT, {"max_steps": MAX_STEPS})
    turn.exited.append(enrolment.journey)
    end(turn, enrolment)


def abandon(turn: Turn, enrolment: Enrolment) -> None:
    """Give up an enrolment whose version of the journey is not known any more."""
    detail = {"gates": [{"gate": "version", "answer": "refuse", "reason": "version", "version": enrolment.version}]}
    turn.record(enrolment.journey, enrolment.key, enrolment.step, Verdict.SKIPPED, Reason.VERSION, detail)
    turn.exited.append(enrolment.journey)
    mark_exit(turn, enrolment)
    turn.drop(enrolment.id)


def resume_due(turn: Turn) -> None:
    """Move on every enrolment whose timer is due: waits that are over, and deferred candidates that are to be asked about again."""
    for enrolment in list(turn.document.enrolments.values()):
        waited = enrolment.due_at is not None and enrolment.due_at <= turn.at
        released = tuple(deferred for deferred in enrolment.deferred if deferred.release_at <= turn.at)
        if not waited and not released:
            continue
        if enrolment.version not in turn.ruleset.versions:
            abandon(turn, enrolment)
            continue
        _resume(turn, enrolment, released, waited=waited)


def _resume(turn: Turn, enrolment: Enrolment, released: tuple[Deferred, ...], *, waited: bool) -> None:
    program = turn.ruleset.programs[enrolment.version]
    if released:
        kept = tuple(deferred for deferred in enrolment.deferred if deferred not in released)
        enrolment = turn.put(msgspec.structs.replace(enrolment, deferred=kept))
    for deferred in released:
        release(turn, enrolment, deferred)
    if waited:
        instruction = program.instructions.get(enrolment.step)
        if instruction is None:
            abandon(turn, enrolment)
        else:
            go_to(turn, enrolment, instruction.next)


def release(turn: Turn, enrolment: Enrolment, deferred: Deferred) -> None:
    """Make a deferred message a candidate again; an enrolment whose step is unknown is given up."""
    instruction = turn.ruleset.programs[enrolment.version].instructions.get(deferred.step)
    if instruction is None or not isinstance(instruction.step, SendStep):
        abandon(turn, enrolment)
        return
    turn.candidates.append(
        Candidate(
            enrolment=enrolment,
            journey=turn.ruleset.versions[enrolment.version],
            step=instruction.step,
            channels=deferred.channels,
            reached_at=deferred.reached_at,
            expires_at=deferred.expires_at,
            fallback=deferred.fallback,
        )
    )


def next_step(turn: Turn, candidate: Candidate) -> StepId:
    """Return the step after a candidate's."""
    return turn.ruleset.programs[candidate.enrolment.version].instructions[candidate.step.id].next


def settle(turn: Turn) -> None:
    """Forget messages that can't be recalled or fall back any more, and ended enrolments that were kept for them."""
    limit = turn.now - _GRACE
    for enrolment in list(turn.document.enrolments.values()):
        kept = [pending for pending in enrolment.pending if pending.expires_at >= limit]
        if len(kept) < len(enrolment.pending):
            enrolment = turn.put(msgspec.structs.replace(enrolment, pending=tuple(kept)))  # noqa: PLW2901 - its next state
        if not enrolment.step and not enrolment.pending and not enrolment.deferred:
            turn.drop(enrolment.id)
    if len(turn.document.enrolments) > MAX_ENDED:
        ended = [enrolment for enrolment in turn.document.enrolments.values() if not enrolment.step]
        for enrolment in ended[:-MAX_ENDED]:
            _forget(turn, enrolment)


def _forget(turn: Turn, enrolment: Enrolment) -> None:
    """Let go of an ended enrolment with messages on their way: the ledger says that they are recalled no more, nor fall back."""
    gate = {"gate": "ended_enrolments", "answer": "refuse", "reason": Reason.LOOP_LIMIT.value, "max": MAX_ENDED}
    lost = {"messages": [pending.id for pending in enrolment.pending], "deferred": [deferred.step for deferred in enrolment.deferred]}
    turn.record(enrolment.journey, enrolment.key, _END, Verdict.SKIPPED, Reason.LOOP_LIMIT, {"gates": [{**gate, **lost}]})
    turn.drop(enrolment.id)
