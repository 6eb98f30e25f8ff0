"""One decision being taken: the document's next version and what is to be done, as they grow."""

from datetime import datetime
from typing import Any

import msgspec

from services.contracts.decisions import Decision, Reason, Verdict
from services.contracts.events import Event
from services.contracts.ids import Channel, EnrolmentId, JourneyName, MessageId, StepId
from services.rules.core.document import CustomerDocument, Enrolment
from services.rules.core.effects import Effect, Record
from services.rules.core.inputs import EventInput, Input
from services.rules.core.ruleset import Journey, Ruleset, SendStep
from services.rules.core.scope import Scope


class Candidate(msgspec.Struct, frozen=True):
    """A message that may be sent. `channels` are those to try, in order; `reached_at` is the logical time at which the step was reached.

    `fallback`: the flow does not wait for it.
    """

    enrolment: Enrolment
    journey: Journey
    step: SendStep
    channels: tuple[Channel, ...]
    reached_at: datetime
    expires_at: datetime
    fallback: bool = False


class Turn:
    """The working state of one `decide`; made from its arguments, thrown away after it.

    `document` is a copy whose containers are replaced, never changed. `at` is the input's logical time, `happened_at` the event's own
    time, clamped to `at` (a timer's due time). `candidates` are messages that wait for their gates in this input. `kept` is this event's
    data as an enrolment that it opened keeps it, where that is all of it.
    """

    __slots__ = ("at", "candidates", "document", "effects", "enrolled", "event", "exited", "given", "happened_at", "kept", "now", "ruleset")

    def __init__(self, document: CustomerDocument, given: Input, ruleset: Ruleset, now: datetime) -> None:
        self.document: CustomerDocument = document.__copy__()  # type: ignore[attr-defined]  # msgspec has it
        self.given = given
        self.ruleset = ruleset
        self.now = now
        self.at = given.logical_at
        self.event: Event | None = given.event if isinstance(given, EventInput) else None
        self.happened_at = self.at if self.event is None else min(self.event.time, self.at)
        self.effects: list[Effect] = []
        self.enrolled: list[str] = []
        self.exited: list[str] = []
        self.candidates: list[Candidate] = []
        self.kept: msgspec.Raw | None = None

    def scope(self, trigger: dict[str, Any] | None = None) -> Scope:
        """Return what expressions see: this event (nothing for a timer), the customer, and the enrolling event's data."""
        scope = Scope(self.document, self.at)
        scope.trigger = trigger or {}
        if self.event is not None:
            scope.see(self.event.data, self.event.id, self.event.type, self.happened_at, self.event.source)
        return scope

    def trigger_of(self, enrolment: Enrolment) -> dict[str, Any]:
        """Return the enrolling event's data: it is at hand where that was this event."""
        if self.event is not None and enrolment.trigger is self.kept:
            return self.event.data
        return enrolment.trigger_data()

    def put(self, enrolment: Enrolment) -> Enrolment:
        """Store an enrolment's new state and return it."""
        self.document.enrolments = {**self.document.enrolments, enrolment.id: enrolment}
        return enrolment

    def drop(self, enrolment: EnrolmentId) -> None:
        """Forget an enrolment."""
        self.document.enrolments = {name: kept for name, kept in self.document.enrolments.items() if name != enrolment}

    def record(  # noqa: PLR0913 - the ledger's columns
        self,
        journey: JourneyName,
        key: str,
        step: StepId,
        verdict: Verdict,
        reason: Reason,
        detail: dict[str, Any],
        *,
        channel: Channel | None = None,
        message_id: MessageId | None = None,
    ) -> None:
        """Write a row of the decision ledger."""
        decision = Decision(
            at=self.now,
            customer=self.document.customer,
            journey=journey,
            key=key,
            step=step,
            ruleset=self.ruleset.hash,
            input_id=self.given.input_id,
            verdict=verdict,
            reason=reason,
            detail=detail,
            channel=channel,
            message_id=message_id,
        )
        self.effects.append(Record(decision))
