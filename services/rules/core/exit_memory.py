"""Exit events that were seen, so that a trigger that is older but arrives later opens nothing."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from services.rules.core.bounds import fit
from services.rules.core.document import SeenExit
from services.rules.core.ruleset import ExitOn, Journey
from services.rules.core.turn import Turn

_KEPT = 10
_MAX_JOURNEYS = 200
_MAX_DATA_BYTES = 2_048


def exit_matches(turn: Turn, rule: ExitOn, trigger: Callable[[], dict[str, Any]]) -> bool:
    """Say whether this turn's event is that exit for an enrolment with that trigger (asked for its data where there is a `where`)."""
    if turn.event is None or rule.event != turn.event.type:
        return False
    return rule.where is None or bool(rule.where(turn.scope(trigger())))


def remember_exits(turn: Turn, journeys: Iterable[Journey]) -> None:
    """Note this turn's event where it is an exit of these journeys; only the newest where `where` does not ask for the trigger."""
    exits = dict(turn.document.exits)
    for journey in journeys:
        for number, rule in enumerate(journey.exit_on):
            if (seen := _seen(turn, number, rule)) is not None:
                known = exits.pop(journey.name, ())
                exits[journey.name] = _noted(turn, journey, known, seen)
    while len(exits) > _MAX_JOURNEYS:
        del exits[next(iter(exits))]
    turn.document.exits = exits


def _seen(turn: Turn, number: int, rule: ExitOn) -> SeenExit | None:
    if turn.event is None or rule.event != turn.event.type:
        return None
    if _asks_for_trigger(rule):
        return SeenExit(turn.happened_at, number, fit(turn.event.data, _MAX_DATA_BYTES))
    return SeenExit(turn.happened_at, number) if exit_matches(turn, rule, dict) else None


def _asks_for_trigger(rule: ExitOn) -> bool:
    return rule.where is not None and "trigger" in rule.where.roots


def _noted(turn: Turn, journey: Journey, known: tuple[SeenExit, ...], seen: SeenExit) -> tuple[SeenExit, ...]:
    if seen.data is None:
        newest = max((old.at for old in known if old.data is None and old.rule == seen.rule), default=seen.at)
        known = tuple(old for old in known if old.data is not None or old.rule != seen.rule)
        seen = SeenExit(max(newest, seen.at), seen.rule)
    fresh = tuple(old for old in known if old.at >= turn.at - journey.max_lateness)
    return (*fresh, seen)[-_KEPT:]


def exit_seen_after(turn: Turn, journey: Journey, triggered_at: datetime, trigger: Callable[[], dict[str, Any]]) -> datetime | None:
    """Return when an exit of the journey happened that is later than the trigger, `None` where none was seen.

    `trigger` gives the trigger's data; it is asked only where a `where` looks into it.
    """
    for seen in turn.document.exits.get(journey.name, ()):
        if seen.at > triggered_at and seen.rule < len(journey.exit_on) and _holds(turn, journey.exit_on[seen.rule], seen, trigger):
            return seen.at
    return None


def _holds(turn: Turn, rule: ExitOn, seen: SeenExit, trigger: Callable[[], dict[str, Any]]) -> bool:
    if seen.data is None or rule.where is None:
        return True
    scope = turn.scope(trigger())
    scope.see(seen.data, "", rule.event, seen.at, "")
    return bool(rule.where(scope))
