"""Signs of life: what the customer did last, and the timers that look for silence.

One timer a journey, re-armed lazily: an event never moves a timer that is there; a timer that finds newer activity arms itself again
without a decision. After it has fired, the next activity arms it again.
"""

from collections.abc import Mapping
from datetime import datetime

from services.contracts.ids import JourneyName
from services.rules.core.document import CustomerDocument
from services.rules.core.ruleset import InactiveTrigger, Journey
from services.rules.core.turn import Turn

ACTIVE_OUTCOMES = frozenset({"message.clicked", "message.replied"})
"""What a customer does with a message counts as activity; what dispatch does with it does not."""
_MAX_TYPES = 256
_MAX_TIMERS = 200


def note_event(turn: Turn, event_type: str) -> None:
    """Note when the customer was seen, and arm the timers of silence where the event counts as activity."""
    document = turn.document
    if document.first_seen_at is None or document.first_seen_at > turn.happened_at:
        document.first_seen_at = turn.happened_at
    document.last_seen = _with_latest(document.last_seen, event_type, turn.happened_at)
    if event_type in turn.ruleset.passive_types:
        return
    if document.last_activity_at is None or document.last_activity_at < turn.happened_at:
        document.last_activity_at = turn.happened_at
    for journey in turn.ruleset.inactive:
        if journey.name not in document.inactivity_due:
            _arm(turn, journey)


def _with_latest(last_seen: Mapping[str, datetime], event_type: str, moment: datetime) -> dict[str, datetime]:
    known = last_seen.get(event_type)
    if known is not None:
        return {**last_seen, event_type: max(known, moment)}
    kept = dict(last_seen)
    if len(kept) >= _MAX_TYPES:
        del kept[min(kept, key=lambda name: (kept[name], name))]
    kept[event_type] = moment
    return kept


def silent_since(document: CustomerDocument, trigger: InactiveTrigger) -> datetime | None:
    """Return when the last activity that the trigger listens to happened, `None` where there never was any."""
    if not trigger.of:
        return document.last_activity_at
    return max((document.last_seen[name] for name in trigger.of if name in document.last_seen), default=None)


def due_inactivity(turn: Turn) -> list[Journey]:
    """Take the timers that are due: return the journeys whose silence is complete, re-arm the others, forget those of no journey."""
    due = sorted(name for name, due_at in turn.document.inactivity_due.items() if due_at <= turn.at)
    if not due:
        return []
    turn.document.inactivity_due = {name: kept for name, kept in turn.document.inactivity_due.items() if name not in due}
    journeys = [turn.ruleset.journeys[name] for name in due if name in turn.ruleset.journeys]
    return [journey for journey in journeys if isinstance(journey.trigger, InactiveTrigger) and not _arm(turn, journey)]


def _arm(turn: Turn, journey: Journey) -> bool:
    """Arm the journey's timer; say whether there is one now. A moment that has passed already (imported history) arms nothing."""
    if not isinstance(journey.trigger, InactiveTrigger):
        return False
    since = silent_since(turn.document, journey.trigger)
    if since is None or since + journey.trigger.after <= turn.at:
        return False
    due: dict[JourneyName, datetime] = dict(list(turn.document.inactivity_due.items())[-_MAX_TIMERS + 1 :])
    turn.document.inactivity_due = {**due, journey.name: since + journey.trigger.after}
    return True
