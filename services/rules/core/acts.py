"""Acts of operators and of Povod's other parts (`povod.*`): no sign of the customer's life, and no trigger."""

from collections.abc import Callable, Mapping

from msgspec import UNSET

from services.contracts.events import Event
from services.contracts.ids import Channel, MessageId
from services.contracts.merges import MERGE
from services.contracts.messages import Recall
from services.rules.core.absorbing import apply_merged, write_consent
from services.rules.core.document import SCHEMA_VERSION, Preference
from services.rules.core.effects import Publish
from services.rules.core.gates.consent import ALL_CHANNELS, UNSUBSCRIBED
from services.rules.core.merging import MERGED, apply_merge
from services.rules.core.outcomes import apply_consent
from services.rules.core.turn import Turn

_LONGEST_LANGUAGE = 35
_FREQUENCIES = frozenset({"less", "normal"})


def apply_act(turn: Turn, event: Event) -> None:
    """Do what the act says; one that this release does not know changes nothing."""
    act = _ACTS.get(event.type)
    if act is not None:
        act(turn, event)


def _consent(turn: Turn, event: Event) -> None:
    """Copy a statement; one that was made under another of the customer's ids is written into this one's ledger as well."""
    before = turn.document.consents
    apply_consent(turn, event)
    changed = [channel for channel, consent in turn.document.consents.items() if consent is not before.get(channel)]
    for channel in changed:
        if event.via is not UNSET:
            write_consent(turn, channel, event.source, f"{event.type} {event.id}, said as {event.via}")
        if turn.document.merged_from:
            _recall_unwanted(turn, channel)


def _recall_unwanted(turn: Turn, channel: Channel) -> None:
    """Recall what is on its way where the customer does not want it: dispatch asks the ledger of the id under which it was decided."""
    consent = turn.document.consents.get(channel)
    if consent is None or consent.state != UNSUBSCRIBED:
        return
    for enrolment in turn.document.enrolments.values():
        for pending in enrolment.pending:
            if channel in (pending.channel, ALL_CHANNELS):
                turn.effects.append(Publish(_recall(turn, pending.id)))


def _recall(turn: Turn, message: MessageId) -> Recall:
    traceparent = turn.event.traceparent if turn.event else None
    customer = turn.document.customer
    return Recall(message_id=message, customer=customer, reason=UNSUBSCRIBED, recalled_at=turn.now, traceparent=traceparent)


def _merged(turn: Turn, event: Event) -> None:
    apply_merged(turn, event)
    for channel in sorted(turn.document.consents):
        _recall_unwanted(turn, channel)


def _prefer(turn: Turn, event: Event) -> None:
    """Keep how often the customer wants to hear from us (the newest holds), and the language."""
    frequency, known = event.data.get("frequency"), turn.document.preference
    if frequency in _FREQUENCIES and (known is None or turn.happened_at >= known.at):
        turn.document.preference = Preference(frequency, turn.happened_at)
        turn.document.schema_version = SCHEMA_VERSION
    if isinstance(language := event.data.get("language"), str) and 0 < len(language) <= _LONGEST_LANGUAGE:
        turn.document.language = language


_ACTS: Mapping[str, Callable[[Turn, Event], None]] = {
    "povod.consent": _consent,
    MERGE: apply_merge,
    MERGED: _merged,
    "povod.preferences": _prefer,
}
