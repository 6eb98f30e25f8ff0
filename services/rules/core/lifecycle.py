"""The stage machine. Stages move before triggers are looked at: a first order makes the customer active, then journeys for active match."""

from datetime import datetime, timedelta

from services.rules.core.ruleset import Transition
from services.rules.core.turn import Turn

_SETTLING = timedelta(hours=1)


def enter_lifecycle(turn: Turn) -> None:
    """Give a customer without a stage the first one."""
    if turn.document.stage == "" and turn.ruleset.lifecycle.stages:
        _move(turn, turn.ruleset.lifecycle.initial)


def move_on_event(turn: Turn, event_type: str) -> None:
    """Follow the first transition that this event causes from the customer's stage, and arm the timer of silence."""
    for transition in turn.ruleset.moves_by_event.get(event_type, ()):
        if leads_away(transition, turn.document.stage):
            _move(turn, transition.target)
            break
    if turn.ruleset.silent_moves:
        arm_stage_timer(turn)


def move_on_silence(turn: Turn) -> None:
    """Follow the transitions whose silence is complete at this timer, and arm the next one."""
    if turn.document.stage_due_at is None or turn.document.stage_due_at > turn.at:
        return
    turn.document.stage_due_at = None
    for _ in turn.ruleset.lifecycle.stages:
        found = next((move for move in _silent_moves(turn) if _due(turn, move) <= turn.at), None)
        if found is None:
            break
        _move(turn, found.target)
    arm_stage_timer(turn)


def arm_stage_timer(turn: Turn) -> None:
    """Arm the timer for the next transition by silence, if none is armed.

    Where the silence is complete already (imported history), it fires in an hour: the rest of the import may say otherwise.
    """
    if turn.document.stage_due_at is None and (moves := _silent_moves(turn)):
        turn.document.stage_due_at = max(min(_due(turn, move) for move in moves), turn.at + _SETTLING)


def _silent_moves(turn: Turn) -> list[Transition]:
    if turn.document.last_activity_at is None:
        return []
    return [move for move in turn.ruleset.silent_moves if leads_away(move, turn.document.stage)]


def leads_away(transition: Transition, stage: str) -> bool:
    """Say whether the transition leads from this stage to another."""
    return transition.target != stage and (not transition.sources or stage in transition.sources)


def _due(turn: Turn, transition: Transition) -> datetime:
    since = turn.document.last_activity_at
    if since is None or transition.inactive is None:
        return turn.at
    return since + transition.inactive


def _move(turn: Turn, stage: str) -> None:
    turn.document.stage = stage
    turn.document.stage_since = turn.happened_at
    turn.document.stage_due_at = None
