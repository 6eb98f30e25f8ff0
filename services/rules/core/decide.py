"""One input of one customer, decided: the door of the core.

Order within an event: what it says of the customer, its sign of life, the lifecycle, exits, triggers, then the messages of all of them.
Order within a timer: the lifecycle, silence, waits and deferred messages, then the messages of all of them.
"""

from datetime import datetime

from services.contracts.events import Event
from services.rules.core.activity import ACTIVE_OUTCOMES, due_inactivity, note_event
from services.rules.core.acts import apply_act
from services.rules.core.document import CustomerDocument
from services.rules.core.effects import Outcome
from services.rules.core.enrolling import enrol_on_event, enrol_on_silence
from services.rules.core.exits import apply_exits
from services.rules.core.flow import resume_due, settle
from services.rules.core.forwarding import pass_on
from services.rules.core.inputs import EventInput, Input
from services.rules.core.lifecycle import enter_lifecycle, move_on_event, move_on_silence
from services.rules.core.merging import note_visitor
from services.rules.core.outcomes import apply_outcome
from services.rules.core.profile import note_surroundings, update_profile
from services.rules.core.recent import digest_of, is_uncertain, overflows, remember, remembers
from services.rules.core.refusals import note_refusals
from services.rules.core.ruleset import Ruleset
from services.rules.core.sending import send_candidates
from services.rules.core.turn import Turn

_NOTHING_TO_DO = Outcome(effects=())
_DUPLICATE = Outcome(effects=(), duplicate=True)


def decide(document: CustomerDocument, given: Input, ruleset: Ruleset, now: datetime) -> tuple[CustomerDocument, Outcome]:
    """Return the customer's next document and what is to be done; never changes `document`.

    `now` (aware UTC) is when it is decided: it governs sending, quiet hours, caps and expiry. Waits count from `given.logical_at`.
    An event whose (source, id) was decided within 48 hours gives the same document and `Outcome(duplicate=True)`; one of a customer who
    became another gives the same document and `Outcome(passed_on=True)`. Raises `InvalidEvent` where it was passed on too often.
    """
    if not isinstance(given, EventInput):
        turn = Turn(document, given, ruleset, now)
        _on_timer(turn)
        return _close(turn)
    digest = digest_of(given.event)
    if remembers(document, digest, given.logical_at):
        return document, _DUPLICATE
    if document.merged_into:
        document, passed = pass_on(document, given.event)
        if passed is not None:
            return document, passed
    turn = Turn(document, given, ruleset, now)
    remember(turn.document, digest, given.logical_at)
    _on_event(turn, given.event)
    return _close(turn)


def needs_history_lookup(document: CustomerDocument, event: Event, arriving: int = 1) -> bool:
    """Say whether the document can't know if this event is a duplicate: the customer is so busy that ids of the last 48 h were forgotten.

    The shell then asks `history` for (source, id) before it calls `decide`. With `arriving`, the number of the customer's events that
    are to be decided together, true also where deciding the others may have the document forget this one's id.
    """
    return is_uncertain(document, event) or (arriving > 1 and overflows(document, arriving))


def _close(turn: Turn) -> tuple[CustomerDocument, Outcome]:
    if turn.candidates:
        send_candidates(turn)
    if turn.document.enrolments:
        settle(turn)
    turn.document.seq += 1
    if not (turn.effects or turn.enrolled or turn.exited):
        return turn.document, _NOTHING_TO_DO
    return turn.document, Outcome(tuple(turn.effects), tuple(turn.enrolled), tuple(turn.exited))


def _on_event(turn: Turn, event: Event) -> None:
    if event.type.startswith("povod."):
        apply_act(turn, event)
        return
    if event.bot is True:
        update_profile(turn, event)
        note_refusals(turn, event)
        return
    if event.type.startswith("message."):
        apply_outcome(turn, event)
        if event.type in ACTIVE_OUTCOMES:
            note_event(turn, event.type)
    else:
        note_visitor(turn, event)
        note_surroundings(turn, event)
        update_profile(turn, event)
        note_refusals(turn, event)
        enter_lifecycle(turn)
        note_event(turn, event.type)
    move_on_event(turn, event.type)
    apply_exits(turn, event)
    enrol_on_event(turn, event)


def _on_timer(turn: Turn) -> None:
    move_on_silence(turn)
    for journey in due_inactivity(turn):
        enrol_on_silence(turn, journey)
    resume_due(turn)
