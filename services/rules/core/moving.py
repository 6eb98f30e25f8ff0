"""Journeys that were open, and what is remembered of others, go over to the customer whom their own customer became.

An enrolment keeps its id, its step and its timers, so its messages keep their names. It does not go on where the customer, seen as one,
would not be in it: an enrolment under the same key is open already, re-entry was not allowed, or an exit was seen after the trigger.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from services.contracts.decisions import Reason, Verdict
from services.contracts.events import Event
from services.contracts.ids import JourneyName, StepId
from services.rules.core.document import CustomerDocument, Enrolment, Entry, SeenExit
from services.rules.core.enrolling import MAX_ENROLMENTS
from services.rules.core.entries import mark_exit
from services.rules.core.exit_memory import exit_seen_after
from services.rules.core.exits import in_order, leave
from services.rules.core.ruleset import Reentry
from services.rules.core.turn import Turn

_MAX_KEYS = 1_000
_MAX_JOURNEYS = 200
_MAX_EXITS = 10
_END = StepId("")
_SINCE = {"entry": "entered_at", "exit": "exited_at", "send": "sent_at"}


def take_over_journeys(turn: Turn, event: Event, other: CustomerDocument) -> None:
    """Take over enrolments, exits seen and what re-entry remembers; whoever should have left has left then."""
    document, before = turn.document, turn.document.entries
    document.exits = _joined_exits(document.exits, other.exits)
    document.entries = _joined_entries(before, other.entries)
    for enrolment in in_order(other.enrolments):
        if enrolment.id not in turn.document.enrolments:
            _take_over(turn, enrolment, before)
    for enrolment in in_order(turn.document.enrolments):
        journey = turn.ruleset.versions.get(enrolment.version)
        if journey and exit_seen_after(turn, journey, enrolment.triggered_at, enrolment.trigger_data) is not None:
            leave(turn, enrolment, event)


def _take_over(turn: Turn, enrolment: Enrolment, before: Mapping[JourneyName, Mapping[str, Entry]]) -> None:
    if enrolment.step:
        answer = _refusal(turn, enrolment, before.get(enrolment.journey, {}).get(enrolment.key))
        if answer is not None:
            _close(turn, enrolment, answer)
            return
    turn.put(enrolment)


def _refusal(turn: Turn, enrolment: Enrolment, entry: Entry | None) -> dict[str, Any] | None:
    """Say what keeps an open enrolment from going on here; `entry` is what this customer remembers of the same journey and key."""
    own = [kept for kept in turn.document.enrolments.values() if kept.step]
    if any(kept.journey == enrolment.journey and kept.key == enrolment.key for kept in own):
        return {"gate": "reentry", "answer": "refuse", "reason": Reason.REENTRY.value, "open": True}
    journey = turn.ruleset.versions.get(enrolment.version)
    if journey and entry and not _may_reenter(journey.reentry, entry, enrolment.entered_at):
        seen = {"rule": journey.reentry.mode, "entered_at": entry.entered_at.isoformat(), "from": journey.reentry.since}
        return {"gate": "reentry", "answer": "refuse", "reason": Reason.REENTRY.value, **seen, "since": _since(journey.reentry, entry)}
    if len(own) >= MAX_ENROLMENTS:
        return {"gate": "enrolments", "answer": "refuse", "reason": Reason.LOOP_LIMIT.value, "max": MAX_ENROLMENTS}
    return None


def _may_reenter(rule: Reentry, entry: Entry, at: datetime) -> bool:
    if rule.mode != "after":
        return rule.mode == "always"
    since: datetime | None = getattr(entry, _SINCE[rule.since])
    return since is None or at - since >= rule.after


def _since(rule: Reentry, entry: Entry) -> str | None:
    since: datetime | None = getattr(entry, _SINCE[rule.since])
    return None if since is None else since.isoformat()


def _close(turn: Turn, enrolment: Enrolment, answer: dict[str, Any]) -> None:
    """End an enrolment that does not go on; messages of it that are on their way stay known, so that their outcomes count."""
    turn.exited.append(enrolment.journey)
    turn.record(enrolment.journey, enrolment.key, enrolment.step, Verdict.SKIPPED, Reason(answer["reason"]), {"gates": [answer]})
    if not answer.get("open"):
        mark_exit(turn, enrolment)
    if enrolment.pending:
        turn.put(msgspec.structs.replace(enrolment, step=_END, due_at=None, deferred=()))


def _joined_exits(
    mine: Mapping[JourneyName, tuple[SeenExit, ...]], others: Mapping[JourneyName, tuple[SeenExit, ...]]
) -> dict[JourneyName, tuple[SeenExit, ...]]:
    joined = {journey: _newest_exits((*seen, *mine.get(journey, ()))) for journey, seen in others.items()}
    return dict(list({**joined, **{journey: seen for journey, seen in mine.items() if journey not in joined}}.items())[-_MAX_JOURNEYS:])


def _newest_exits(seen: Iterable[SeenExit]) -> tuple[SeenExit, ...]:
    """Return each exit once, in order of time; of those without data only the newest of each rule."""
    ordered = sorted(seen, key=lambda each: each.at)
    newest = {each.rule: each for each in ordered if each.data is None}
    kept: list[SeenExit] = []
    for each in ordered:
        if each not in kept and (each.data is not None or newest[each.rule] is each):
            kept.append(each)
    return tuple(kept[-_MAX_EXITS:])


def _joined_entries(
    mine: Mapping[JourneyName, Mapping[str, Entry]], others: Mapping[JourneyName, Mapping[str, Entry]]
) -> dict[JourneyName, dict[str, Entry]]:
    joined = {journey: _joined_keys(mine.get(journey, {}), others.get(journey, {})) for journey in (*others, *mine)}
    newest = sorted(joined.items(), key=lambda item: max(entry.entered_at for entry in item[1].values()))
    return dict(newest[-_MAX_JOURNEYS:])


def _joined_keys(mine: Mapping[str, Entry], others: Mapping[str, Entry]) -> dict[str, Entry]:
    joined = {key: _joined_entry(mine.get(key), others.get(key)) for key in (*others, *mine)}
    return dict(sorted(joined.items(), key=lambda item: item[1].entered_at)[-_MAX_KEYS:])


def _joined_entry(mine: Entry | None, other: Entry | None) -> Entry:
    entries = [entry for entry in (mine, other) if entry is not None]
    return Entry(
        max(entry.entered_at for entry in entries),
        max((entry.exited_at for entry in entries if entry.exited_at is not None), default=None),
        max((entry.sent_at for entry in entries if entry.sent_at is not None), default=None),
    )
