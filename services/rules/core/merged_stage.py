"""In which stage of the lifecycle are two customers who turn out to be one?

Each side's stage is first moved on by what the other side has done since it began. Then the first stage, which anyone has, yields to any
other; a stage of silence (one that customers fall into by inactivity) yields to a live one; of two live ones the further along the list
of stages holds, of two of silence the nearer one. Silence is looked for anew, from the later activity of both.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from services.rules.core.document import CustomerDocument
from services.rules.core.lifecycle import arm_stage_timer, leads_away
from services.rules.core.ruleset import Ruleset
from services.rules.core.turn import Turn


class _Standing(NamedTuple):
    stage: str
    since: datetime | None


def merge_stages(turn: Turn, other: CustomerDocument) -> None:
    """Set the stage that both have now; call it with the later activity of both at hand, and their `last_seen` still apart."""
    document, ruleset = turn.document, turn.ruleset
    mine = _moved(ruleset, _Standing(document.stage, document.stage_since), other.last_seen)
    theirs = _moved(ruleset, _Standing(other.stage, other.stage_since), document.last_seen)
    document.stage, document.stage_since = _chosen(ruleset, mine, theirs)
    document.stage_due_at = None
    if ruleset.silent_moves:
        arm_stage_timer(turn)


def _moved(ruleset: Ruleset, standing: _Standing, last_seen: Mapping[str, datetime]) -> _Standing:
    """Return where the stage stands after the other side's events, each type at the latest time at which it was seen."""
    for event_type, at in sorted(last_seen.items(), key=lambda seen: (seen[1], seen[0])):
        if standing.stage and (standing.since is None or at > standing.since):
            moves = ruleset.moves_by_event.get(event_type, ())
            target = next((move.target for move in moves if leads_away(move, standing.stage)), None)
            standing = standing if target is None else _Standing(target, at)
    return standing


def _chosen(ruleset: Ruleset, mine: _Standing, theirs: _Standing) -> _Standing:
    if mine.stage == theirs.stage:
        return _Standing(mine.stage, min((at for at in (mine.since, theirs.since) if at is not None), default=None))
    return theirs if _rank(ruleset, theirs.stage) > _rank(ruleset, mine.stage) else mine


def _rank(ruleset: Ruleset, stage: str) -> tuple[int, int]:
    lifecycle = ruleset.lifecycle
    if not stage:
        return 0, 0
    if stage == lifecycle.initial or stage not in lifecycle.stages:
        return 1, 0
    place = lifecycle.stages.index(stage)
    return (2, -place) if any(move.target == stage for move in ruleset.silent_moves) else (3, place)
