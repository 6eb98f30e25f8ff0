"""Has this customer heard from us often enough? Here, and only here, frequency caps are checked.

A slot counts in every window that could hold it: while dispatch has not reported, anywhere in `[not_before, expires_at]`; after
`message.sent`, at the time of the hand-over. So no order of outcomes can exceed a cap. A candidate must fit into every cap.
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta

from services.contracts.decisions import Reason
from services.contracts.ids import Channel
from services.rules.core.document import Slot
from services.rules.core.gates.answer import Answer
from services.rules.core.gates.less_often import scaled, wants_less
from services.rules.core.ruleset import Cap
from services.rules.core.turn import Candidate, Turn
from services.rules.core.zones import calendar_window, zone_of

_DAY = timedelta(days=1)


def frequency_cap(turn: Turn, candidate: Candidate, channel: Channel) -> Answer:
    """Refuse where a cap that this message would count in is full. No deferral: the message is skipped."""
    if not turn.ruleset.policy.caps:
        return Answer("frequency_cap")
    slot = Slot(turn.now, turn.now, candidate.journey.name, channel, candidate.step.kind, candidate.step.tags)
    counts = [(cap, count(turn, candidate, cap)) for cap in turn.ruleset.policy.caps if applies(turn, slot, cap)]
    if wants_less(turn.document):
        return scaled(counts)
    seen = {"caps": [{"cap": cap.name, "count": counted, "max": cap.max} for cap, counted in counts]} if counts else {}
    full = any(counted >= cap.max for cap, counted in counts)
    return Answer("frequency_cap", Reason.FREQUENCY_CAP if full else None, seen=seen)


def applies(turn: Turn, slot: Slot, cap: Cap) -> bool:
    """Say whether a message that takes this slot would count in the cap, for a customer in their present stage."""
    return (not cap.stages or turn.document.stage in cap.stages) and counts_in(cap, slot)


def counts_in(cap: Cap, slot: Slot) -> bool:
    """Say whether a message is of the sort that the cap counts."""
    match cap.scope.of:
        case "channel":
            return slot.channel == cap.scope.name
        case "kind":
            return slot.kind == cap.scope.name
        case "tag":
            return cap.scope.name in slot.tags
        case "journey":
            return slot.journey == cap.scope.name
        case _:
            return True


def count(turn: Turn, candidate: Candidate, cap: Cap) -> int:
    """Return how many slots the fullest window has that could hold this message as well."""
    slots: Collection[Slot] = turn.document.slots.values()
    if cap.scope.of != "all":
        slots = [slot for slot in slots if counts_in(cap, slot)]
    if not slots:
        return 0
    if cap.window == "rolling":
        earliest = turn.now - cap.per
        return sum([slot.latest_at > earliest for slot in slots])
    return max(_held(slots, window) for window in _calendar_windows(turn, candidate, cap, max([slot.latest_at for slot in slots])))


def _held(slots: Iterable[Slot], window: tuple[datetime, datetime]) -> int:
    start, end = window
    return sum([slot.earliest_at < end and slot.latest_at >= start for slot in slots])


def _calendar_windows(turn: Turn, candidate: Candidate, cap: Cap, last: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield the local calendar windows in which this message may be handed over, as far as other messages reach into them."""
    _, zone = zone_of(turn.document, turn.ruleset.policy)
    window = calendar_window(turn.now, zone, cap.calendar_unit, max(cap.per // _DAY, 1))
    yield window
    while window[1] <= min(candidate.expires_at, last):
        window = calendar_window(window[1], zone, cap.calendar_unit, max(cap.per // _DAY, 1))
        yield window
