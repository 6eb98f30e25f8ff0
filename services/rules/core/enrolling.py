"""From a trigger that matched to an enrolment, through the gates before a journey."""

from collections.abc import Mapping
from typing import Any

from services.contracts.decisions import Reason, Verdict
from services.contracts.events import Event
from services.contracts.ids import EventId, StepId, enrolment_id
from services.rules.core.bounds import fit_encoded, key_text
from services.rules.core.document import Enrolment, Entry
from services.rules.core.flow import go_to
from services.rules.core.gates import ENTRANCE_GATES, Entrance
from services.rules.core.gates.answer import Answer
from services.rules.core.ruleset import EventTrigger, Journey
from services.rules.core.scope import Scope
from services.rules.core.turn import Turn

MAX_ENROLMENTS = 200
"""Open enrolments of one customer at a time; more are refused as `loop_limit`."""
_MAX_KEYS = 1_000
_MAX_JOURNEYS = 200


def enrol_on_event(turn: Turn, event: Event) -> None:
    """Enrol in each journey whose trigger and its `where` match and all of whose gates let pass; a refusal is a row of the ledger."""
    listening = turn.ruleset.by_event.get(event.type)
    if not listening:
        return
    scope = turn.scope(event.data)  # one for all of them: it looks at the document as it is at the time
    for journey in listening:
        trigger = journey.trigger
        if isinstance(trigger, EventTrigger) and (trigger.where is None or trigger.where(scope)):
            key = _key(journey, scope)
            _enter(turn, Entrance(journey, key, event.id, event.type, event.source, turn.happened_at, event.data))


def enrol_on_silence(turn: Turn, journey: Journey) -> None:
    """Enrol a customer whose silence has lasted long enough."""
    trigger_id = EventId(f"inactive:{journey.name}:{turn.at.isoformat()}")
    _enter(turn, Entrance(journey, _key(journey, turn.scope()), trigger_id, "", "", turn.at, {}))


def _key(journey: Journey, scope: Scope) -> str | None:
    if journey.key is None:
        return ""
    value = journey.key(scope)
    return None if value is None else key_text(value)


def _enter(turn: Turn, entrance: Entrance) -> None:
    answers: list[Answer] = []
    for gate in ENTRANCE_GATES:
        answers.append(gate(turn, entrance))
        if (reason := answers[-1].reason) is not None:
            _refuse(turn, entrance, reason, answers)
            return
    if (
        len(turn.document.enrolments) >= MAX_ENROLMENTS
        and sum(1 for each in turn.document.enrolments.values() if each.step) >= MAX_ENROLMENTS
    ):
        limit = Answer("enrolments", Reason.LOOP_LIMIT, seen={"max": MAX_ENROLMENTS})
        _refuse(turn, entrance, Reason.LOOP_LIMIT, [*answers, limit])
        return
    _open(turn, entrance)


def _refuse(turn: Turn, entrance: Entrance, reason: Reason, answers: list[Answer]) -> None:
    detail = {"gates": [answer.to_detail() for answer in answers]}
    turn.record(entrance.journey.name, entrance.key or "", StepId(""), Verdict.SKIPPED, reason, detail)


def _open(turn: Turn, entrance: Entrance) -> None:
    journey, key = entrance.journey, entrance.key or ""
    trigger, is_whole = fit_encoded(entrance.trigger)
    if is_whole and turn.event is not None:
        turn.kept = trigger
    enrolment = Enrolment(
        id=enrolment_id(journey.name, turn.document.customer, key, _unique_id(entrance)),
        journey=journey.name,
        version=journey.version,
        entered_at=turn.at,
        triggered_at=entrance.triggered_at,
        trigger_id=entrance.trigger_id,
        trigger_type=entrance.trigger_type,
        trigger_source=entrance.trigger_source,
        key=key,
        trigger=trigger,
        traceparent=turn.event.traceparent if turn.event is not None else None,
    )
    turn.enrolled.append(journey.name)
    _remember_entry(turn, journey, key)
    go_to(turn, enrolment, turn.ruleset.programs[journey.version].first)


def _unique_id(entrance: Entrance) -> EventId:
    """Name the trigger by source and id: two sources may use the same ids."""
    return EventId(f"{entrance.trigger_source}\x1f{entrance.trigger_id}")


def _remember_entry(turn: Turn, journey: Journey, key: str) -> None:
    """Keep what the journey's `reentry` will ask for; the newest key stands last."""
    if journey.reentry.mode == "always":
        return
    entries = turn.document.entries
    keys = _without_oldest({name: kept for name, kept in entries.get(journey.name, {}).items() if name != key}, _MAX_KEYS - 1)
    keys[key] = Entry(turn.at)
    others = _without_oldest({name: kept for name, kept in entries.items() if name != journey.name}, _MAX_JOURNEYS - 1)
    turn.document.entries = {**others, journey.name: keys}


def _without_oldest(items: Mapping[Any, Any], count: int) -> dict[Any, Any]:
    return dict(items) if len(items) <= count else dict(list(items.items())[-count:])
