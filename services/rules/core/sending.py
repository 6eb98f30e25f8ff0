"""From candidates to messages: every candidate of one input is asked about in order, and each ends in the ledger."""

from typing import Any

import msgspec

from services.contracts.decisions import Reason, Verdict
from services.contracts.ids import Channel, MessageId, message_id
from services.contracts.messages import Message
from services.rules.core.bounds import fit
from services.rules.core.document import Deferred, Pending, Slot
from services.rules.core.effects import Publish
from services.rules.core.entries import mark_send
from services.rules.core.flow import go_to, next_step, stop_looping
from services.rules.core.gates import CANDIDATE_GATES, CHANNEL_GATES, SENDING_GATES
from services.rules.core.gates.answer import Answer
from services.rules.core.gates.quiet_hours import quiet_for
from services.rules.core.gates.reachable import UNKNOWN_RECIPIENT, recipient_of
from services.rules.core.quiet_hours import open_windows
from services.rules.core.turn import Candidate, Turn
from services.rules.core.zones import zone_of

MAX_ROUNDS = 50
"""Messages of one enrolment in one input."""
FIRST_VISIT = 0
"""Journeys have no way back to a step yet: every step is visited once."""
_MAX_SLOTS = 1_000


def send_candidates(turn: Turn) -> None:
    """Ask about all candidates: higher priority first, then the earlier trigger, then the journey's name.

    So caps and gap favour the more important message: those before have taken their slots. Whatever comes next in the journeys of
    this input makes another round.
    """
    for _ in range(MAX_ROUNDS):
        if not turn.candidates:
            return
        candidates, turn.candidates = sorted(turn.candidates, key=_precedence), []
        for candidate in candidates:
            _decide(turn, candidate)
    for candidate in turn.candidates:
        stop_looping(turn, turn.document.enrolments[candidate.enrolment.id], candidate.step.id)


def _precedence(candidate: Candidate) -> tuple[Any, ...]:
    enrolment = candidate.enrolment
    return (-candidate.journey.priority, enrolment.triggered_at, candidate.journey.name, enrolment.key, candidate.step.id)


def _decide(turn: Turn, candidate: Candidate) -> None:
    if candidate.enrolment.id not in turn.document.enrolments:
        detail = {"gates": [Answer("exited", Reason.EXITED).to_detail()]}
        _record(turn, candidate, Verdict.SKIPPED, Reason.EXITED, detail, None)
        return
    answers, channel = _ask(turn, candidate)
    last = answers[-1]
    detail = {"gates": [answer.to_detail() for answer in answers]}
    if channel is None or (last.reason is not None and last.until is None):
        _record(turn, candidate, Verdict.SKIPPED, last.reason or Reason.UNREACHABLE, detail, channel)
    elif last.until is not None:
        _record(turn, candidate, Verdict.DEFERRED, last.reason or Reason.OK, detail, channel)
        _defer(turn, candidate, last)
        return
    else:
        _send(turn, candidate, channel, detail)
    if not candidate.fallback:
        go_to(turn, turn.document.enrolments[candidate.enrolment.id], next_step(turn, candidate))


def _ask(turn: Turn, candidate: Candidate) -> tuple[list[Answer], Channel | None]:
    """Ask the gates in order; the last answer decides. The channel is the first one that its gates let pass."""
    answers: list[Answer] = []
    for gate in CANDIDATE_GATES:
        answers.append(gate(turn, candidate))
        if answers[-1].reason is not None:
            return answers, None
    channel = _choose_channel(turn, candidate, answers)
    if channel is None:
        return answers, None
    for sending_gate in SENDING_GATES:
        answers.append(sending_gate(turn, candidate, channel))
        if answers[-1].reason is not None:
            break
    return answers, channel


def _choose_channel(turn: Turn, candidate: Candidate, answers: list[Answer]) -> Channel | None:
    """Return the first channel that may be used, `None` where there is none: then the first channel's refusal stands last."""
    first: Answer | None = None
    for channel in candidate.channels:
        refusal = _ask_channel(turn, candidate, channel, answers)
        if refusal is None:
            return channel
        first = first or refusal
    answers.append(first or Answer("reachable", Reason.UNREACHABLE, seen={"channels": []}))
    return None


def _ask_channel(turn: Turn, candidate: Candidate, channel: Channel, answers: list[Answer]) -> Answer | None:
    for gate in CHANNEL_GATES:
        answers.append(gate(turn, candidate, channel))
        if answers[-1].reason is not None:
            return answers[-1]
    return None


def _record(turn: Turn, candidate: Candidate, verdict: Verdict, reason: Reason, detail: dict[str, Any], channel: Channel | None) -> None:
    enrolment = candidate.enrolment
    turn.record(enrolment.journey, enrolment.key, candidate.step.id, verdict, reason, detail, channel=channel)


def _defer(turn: Turn, candidate: Candidate, answer: Answer) -> None:
    enrolment = turn.document.enrolments[candidate.enrolment.id]
    deferred = Deferred(
        step=candidate.step.id,
        channels=candidate.channels,
        release_at=answer.until or candidate.expires_at,
        reached_at=candidate.reached_at,
        expires_at=candidate.expires_at,
        fallback=candidate.fallback,
    )
    turn.put(msgspec.structs.replace(enrolment, deferred=(*enrolment.deferred, deferred)))


def _send(turn: Turn, candidate: Candidate, channel: Channel, detail: dict[str, Any]) -> None:
    message = compose(turn, candidate, channel)
    enrolment = turn.document.enrolments[candidate.enrolment.id]
    turn.record(
        enrolment.journey, enrolment.key, candidate.step.id, Verdict.SENT, Reason.OK, detail, channel=channel, message_id=message.message_id
    )
    turn.effects.append(Publish(message))
    _take_slot(turn, message)
    mark_send(turn, enrolment)
    pending = Pending(message.message_id, candidate.step.id, channel, message.recipient, candidate.reached_at, candidate.expires_at)
    turn.put(msgspec.structs.replace(enrolment, pending=(*enrolment.pending, pending)))


def _take_slot(turn: Turn, message: Message) -> None:
    horizon = turn.now - turn.ruleset.slot_memory
    kept = {name: slot for name, slot in turn.document.slots.items() if slot.latest_at > horizon}
    kept[message.message_id] = Slot(message.not_before, message.expires_at, message.journey, message.channel, message.kind, message.tags)
    turn.document.slots = kept if len(kept) <= _MAX_SLOTS else dict(list(kept.items())[-_MAX_SLOTS:])


def compose(turn: Turn, candidate: Candidate, channel: Channel) -> Message:
    """Return the message: what dispatch needs, with the template's values frozen as they are now."""
    enrolment, step, ruleset, document = candidate.enrolment, candidate.step, turn.ruleset, turn.document
    _, zone = zone_of(document, ruleset.policy)
    quiets = quiet_for(ruleset.policy, channel, step.kind)
    return Message(
        message_id=_message_id(candidate, channel),
        customer=document.customer,
        channel=channel,
        recipient=recipient_of(turn, channel) or UNKNOWN_RECIPIENT,
        template=step.template,
        template_version=ruleset.templates.get(step.template),
        language=document.language or document.event_language or ruleset.policy.default_language,
        kind=step.kind,
        decided_at=turn.now,
        not_before=turn.now,
        expires_at=candidate.expires_at,
        windows=open_windows(quiets, zone, turn.now, candidate.expires_at),
        ruleset=ruleset.hash,
        journey=enrolment.journey,
        step=step.id,
        enrolment=enrolment.id,
        tags=step.tags,
        priority=candidate.journey.priority,
        context=_context(turn, candidate),
        traceparent=turn.event.traceparent if turn.event is not None else enrolment.traceparent,
    )


def _message_id(candidate: Candidate, channel: Channel) -> MessageId:
    return message_id(candidate.enrolment.id, candidate.step.id, FIRST_VISIT, channel)


def _context(turn: Turn, candidate: Candidate) -> dict[str, Any]:
    """Return what the template may use: `customer`, `event` (also as `trigger`: the enrolling event's data) and `journey`."""
    trigger = turn.trigger_of(candidate.enrolment)
    return {
        "customer": fit({**turn.document.traits, "id": turn.document.customer}),
        "event": trigger,
        "trigger": trigger,
        "journey": {"name": candidate.journey.name, "why": candidate.journey.why},
    }
