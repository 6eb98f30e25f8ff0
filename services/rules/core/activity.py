"""Signs of life: what the customer did last, and the timers that look for silence.

One timer for all journeys, armed for the earliest silence that may become complete, and lazily: an event never moves it to a later
time; where it finds newer activity it arms itself again, without a decision. After a silence was complete, the next activity begins a
new one. Journeys that listen to the same events form one `Silence`, ordered by length: what an event costs does not hang on their number.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from datetime import datetime

from services.rules.core.document import CustomerDocument
from services.rules.core.ruleset import ANY_ACTIVITY, Journey, Silence
from services.rules.core.turn import Turn

ACTIVE_OUTCOMES = frozenset({"message.clicked", "message.replied"})
"""What a customer does with a message counts as activity; what dispatch does with it does not."""
_MAX_TYPES = 256


def note_event(turn: Turn, event_type: str) -> None:
    """Note when the customer was seen, and arm the timers of silence where the event counts as activity."""
    document = turn.document
    if document.first_seen_at is None or document.first_seen_at > turn.happened_at:
        document.first_seen_at = turn.happened_at
    document.last_seen = _with_latest(document.last_seen, event_type, turn.happened_at)
    if event_type in turn.ruleset.passive_types:
        _listen(turn, event_type, is_active=False)
        return
    if document.last_activity_at is None or document.last_activity_at < turn.happened_at:
        document.last_activity_at = turn.happened_at
    _listen(turn, event_type, is_active=True)


def arm_silence(turn: Turn) -> None:
    """Arm the timer for every silence anew: what is known of the customer's activity came from elsewhere."""
    turn.document.silence_rules = turn.ruleset.silence_rules
    _arm(turn, turn.ruleset.silences, turn.document.silence_due_at)


def _with_latest(last_seen: Mapping[str, datetime], event_type: str, moment: datetime) -> dict[str, datetime]:
    known = last_seen.get(event_type)
    if known is not None:
        return {**last_seen, event_type: max(known, moment)}
    kept = dict(last_seen)
    if len(kept) >= _MAX_TYPES:
        del kept[min(kept, key=lambda name: (kept[name], name))]
    kept[event_type] = moment
    return kept


def silent_since(document: CustomerDocument, of: tuple[str, ...]) -> datetime | None:
    """Return when the last of these events (none named: the last activity) happened, `None` where there never was any."""
    if not of:
        return document.last_activity_at
    return max((document.last_seen[name] for name in of if name in document.last_seen), default=None)


def due_inactivity(turn: Turn) -> list[Journey]:
    """Where the timer is due, return the journeys whose silence is complete, by name, and arm it for the next one."""
    armed = turn.document.silence_due_at
    if armed is None or armed > turn.at:
        return []
    complete = [journey for silence in turn.ruleset.silences for journey in _complete(turn, silence, armed)]
    _arm(turn, turn.ruleset.silences, None)
    return sorted(complete, key=lambda journey: journey.name)


def _listen(turn: Turn, event_type: str, *, is_active: bool) -> None:
    """Arm the timer where what this event is a sign of may end in silence before the timer is due."""
    ruleset, document = turn.ruleset, turn.document
    if document.silence_rules != ruleset.silence_rules:
        document.silence_rules = ruleset.silence_rules
        _arm(turn, ruleset.silences, document.silence_due_at)
        return
    for name in (event_type, ANY_ACTIVITY) if is_active else (event_type,):
        if name in ruleset.silences_by_event:
            _arm(turn, ruleset.silences_by_event[name], document.silence_due_at)


def _arm(turn: Turn, silences: Iterable[Silence], armed: datetime | None) -> None:
    """Set the timer to the earliest of `armed` and of what these silences have still to come.

    A moment that has passed already (imported history) arms nothing.
    """
    for silence in silences:
        since = silent_since(turn.document, silence.of)
        if since is not None and (place := bisect_right(silence.afters, turn.at - since)) < len(silence.afters):
            due_at = since + silence.afters[place]
            armed = due_at if armed is None else min(armed, due_at)
    turn.document.silence_due_at = armed


def _complete(turn: Turn, silence: Silence, armed: datetime) -> tuple[Journey, ...]:
    """Return the journeys whose silence became complete between the time for which the timer was armed and now."""
    since = silent_since(turn.document, silence.of)
    if since is None:
        return ()
    return silence.journeys[bisect_left(silence.afters, armed - since) : bisect_right(silence.afters, turn.at - since)]
