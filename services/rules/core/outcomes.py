"""What dispatch and the consent ledger report: `message.*` outcomes and `povod.*` acts, changing the document's copy of the world."""

from datetime import datetime
from typing import Any

import msgspec

from services.contracts.events import Event
from services.contracts.ids import Channel, MessageId
from services.contracts.outcomes import FREES_SLOT, OutcomeType
from services.rules.core.document import Deferred, Enrolment, Pending
from services.rules.core.flow import release
from services.rules.core.operations import moment_of
from services.rules.core.profile import note_consent, suppress, unsuppress
from services.rules.core.ruleset import SendStep
from services.rules.core.turn import Turn

_WHOLE_CHANNEL = "all"
"""The topic of a consent that is about a channel as such; the document keeps no others."""
_FALLS_BACK = frozenset({OutcomeType.FAILED, OutcomeType.REFUSED})
_FINAL = FREES_SLOT | {OutcomeType.SENT, OutcomeType.UNKNOWN}


def apply_outcome(turn: Turn, event: Event) -> None:
    """Take in what became of a message: move or free its slot, suppress its address, fall back to the step's next channel."""
    message = event.data.get("message_id")
    if not isinstance(message, str):
        return
    found = _find_pending(turn, MessageId(message))
    _settle_slot(turn, MessageId(message), event.type)
    _suppress(turn, event, found[1] if found else None)
    if found and event.type in _FINAL:
        enrolment = _without(turn, *found)
        if event.type in _FALLS_BACK:
            _fall_back(turn, enrolment, found[1])


def _find_pending(turn: Turn, message: MessageId) -> tuple[Enrolment, Pending] | None:
    for enrolment in turn.document.enrolments.values():
        for pending in enrolment.pending:
            if pending.id == message:
                return enrolment, pending
    return None


def _settle_slot(turn: Turn, message: MessageId, outcome: str) -> None:
    slot = turn.document.slots.get(message)
    if slot is None:
        return
    if outcome in FREES_SLOT:
        turn.document.slots = {name: kept for name, kept in turn.document.slots.items() if name != message}
    elif outcome == OutcomeType.SENT:
        handed_over = msgspec.structs.replace(slot, earliest_at=turn.happened_at, latest_at=turn.happened_at)
        turn.document.slots = {**turn.document.slots, message: handed_over}


def _suppress(turn: Turn, event: Event, pending: Pending | None) -> None:
    """Keep that the address must not be used again, where the outcome says so."""
    channel = event.data.get("channel")
    if event.data.get("suppress") is not True or not isinstance(channel, str):
        return
    address = pending.recipient if pending else turn.document.addresses.get(Channel(channel))
    if address:
        suppress(turn, Channel(channel), address, str(event.data.get("reason") or event.type))


def _without(turn: Turn, enrolment: Enrolment, pending: Pending) -> Enrolment:
    kept = tuple(other for other in enrolment.pending if other.id != pending.id)
    return turn.put(msgspec.structs.replace(enrolment, pending=kept))


def _fall_back(turn: Turn, enrolment: Enrolment, failed: Pending) -> None:
    """Propose the step's message on the channels after the one that failed; it goes through all gates."""
    program = turn.ruleset.programs.get(enrolment.version)
    instruction = program.instructions.get(failed.step) if program else None
    if instruction is None or not isinstance(instruction.step, SendStep):
        return
    channels = instruction.step.channels
    left = channels[channels.index(failed.channel) + 1 :] if failed.channel in channels else ()
    if left:
        release(turn, enrolment, Deferred(failed.step, left, turn.at, failed.reached_at, failed.expires_at, fallback=True))


def apply_consent(turn: Turn, event: Event) -> None:
    """Copy what the consent ledger says (`povod.consent`): a state, or that an address is suppressed; the newest holds."""
    channel, state = event.data.get("channel"), event.data.get("state")
    if not isinstance(channel, str) or event.data.get("topic", _WHOLE_CHANNEL) != _WHOLE_CHANNEL:
        return
    if state in ("subscribed", "unsubscribed"):
        note_consent(turn, Channel(channel), state, _stated_at(event.data, turn.happened_at))
    elif state == "suppressed":
        address = event.data.get("address") or turn.document.addresses.get(Channel(channel))
        if isinstance(address, str):
            suppress(turn, Channel(channel), address, str(event.data.get("reason") or "suppressed"))
    elif state == "released":
        unsuppress(turn, Channel(channel))


def _stated_at(data: dict[str, Any], otherwise: datetime) -> datetime:
    return moment_of(data.get("at")) or otherwise
