"""Gates before a journey: may this trigger open an enrolment?"""

from datetime import datetime
from typing import Any, Protocol

import msgspec

from services.contracts.decisions import Reason
from services.contracts.ids import EventId
from services.rules.core.document import Entry
from services.rules.core.exit_memory import exit_seen_after
from services.rules.core.gates.answer import Answer
from services.rules.core.ruleset import Journey
from services.rules.core.turn import Turn


class Entrance(msgspec.Struct, frozen=True):
    """A trigger that matched. `key` is `None` where the journey's key expression found nothing."""

    journey: Journey
    key: str | None
    trigger_id: EventId
    trigger_type: str
    trigger_source: str
    triggered_at: datetime
    trigger: dict[str, Any]


class EntranceGate(Protocol):
    """Asks whether an enrolment may open. Pure; changes neither argument."""

    def __call__(self, turn: Turn, entrance: Entrance) -> Answer:
        """Return the answer."""


def not_late(turn: Turn, entrance: Entrance) -> Answer:
    """Refuse an event that took longer than the journey's `max_lateness` to reach us."""
    lateness = turn.at - entrance.triggered_at
    seen = {"late_by_s": lateness.total_seconds(), "max_lateness_s": entrance.journey.max_lateness.total_seconds()}
    return Answer("late", Reason.LATE if lateness > entrance.journey.max_lateness else None, seen=seen)


def not_historical(turn: Turn, entrance: Entrance) -> Answer:  # noqa: ARG001 - the gates' common shape
    """Refuse events that were sent to fill in the past."""
    return Answer("historical", Reason.HISTORICAL if turn.event is not None and turn.event.historical else None)


def stage_open(turn: Turn, entrance: Entrance) -> Answer:
    """Refuse where the journey is for other stages. Without a lifecycle there is no such gate."""
    return stage_answer(turn, entrance.journey)


def stage_answer(turn: Turn, journey: Journey) -> Answer:
    """Say whether the customer stands in one of the journey's stages."""
    if not journey.stages or not turn.ruleset.lifecycle.stages:
        return Answer("stage")
    stage = turn.document.stage
    return Answer("stage", None if stage in journey.stages else Reason.STAGE, seen={"stage": stage, "open_to": list(journey.stages)})


def keyed(turn: Turn, entrance: Entrance) -> Answer:  # noqa: ARG001 - the gates' common shape
    """Refuse where the key expression gave nothing: without it, enrolments could not be told apart."""
    if entrance.journey.key is None:
        return Answer("key")
    seen = {"expression": entrance.journey.key.text, "key": entrance.key}
    return Answer("key", Reason.CONDITION if entrance.key is None else None, seen=seen)


def exited_before(turn: Turn, entrance: Entrance) -> Answer:
    """Refuse where an exit event that happened after the trigger has been seen already: the reason to write is gone."""
    seen_at = exit_seen_after(turn, entrance.journey, entrance.triggered_at, lambda: entrance.trigger)
    return Answer("exited") if seen_at is None else Answer("exited", Reason.EXITED, seen={"exit_at": seen_at.isoformat()})


def reentry(turn: Turn, entrance: Entrance) -> Answer:
    """Refuse a second enrolment with the same key: while one is open always, later as the journey's `reentry` says."""
    journey, key = entrance.journey, entrance.key
    if any(open_.step and open_.journey == journey.name and open_.key == key for open_ in turn.document.enrolments.values()):
        return Answer("reentry", Reason.REENTRY, seen={"open": True})
    entry = turn.document.entries.get(journey.name, {}).get(key or "")
    rule = journey.reentry
    if rule.mode == "always" or entry is None:
        return Answer("reentry")
    seen = {"rule": rule.mode, "entered_at": entry.entered_at.isoformat()}
    if rule.mode == "never":
        return Answer("reentry", Reason.REENTRY, seen=seen)
    since = _since(entry, rule.since)
    allowed = since is None or turn.at - since >= rule.after
    return Answer("reentry", None if allowed else Reason.REENTRY, seen={**seen, "from": rule.since, "since": since and since.isoformat()})


def _since(entry: Entry, since: str) -> datetime | None:
    match since:
        case "exit":
            return entry.exited_at
        case "send":
            return entry.sent_at
        case _:
            return entry.entered_at
