"""A batch being decided, in memory: customers' documents, the partition's frontier, and all that has to be written. No I/O.

Per customer, inputs are decided in this order, whatever the size of the batches: before a record, the customer's timers due up to the
frontier at that record; after the batch's records, the timers due up to the batch's frontier. The frontier at a record is the latest
`receivedtime` seen so far on the partition (never beyond `now`), so it is the same wherever a batch begins or ends.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from services.contracts.codec import encode_command, encode_event
from services.contracts.errors import Fatal, InvalidEvent
from services.contracts.events import Event
from services.contracts.ids import CustomerId
from services.contracts.moments import from_micros, to_micros
from services.contracts.partitioning import bucket_of
from services.contracts.topics import DISPATCH, EVENTS
from services.rules.core import decide
from services.rules.core.decide import needs_history_lookup
from services.rules.core.document import CustomerDocument, encode_document, new_document, next_due_at
from services.rules.core.effects import Effect, Forward, GrantConsent, Outcome, Publish
from services.rules.core.effects import Record as RecordDecision
from services.rules.core.inputs import EventInput, Input, TimerInput
from services.rules.core.recent import overflows
from services.rules.core.ruleset import Ruleset
from services.rules.intake import LARGEST, Accepted
from services.rules.packing import pack
from services.rules.store import CustomerRow, DecisionRow, HistoryRow, InputKey, OutboxRow

MAX_TIMERS_IN_A_ROW = 10_000
"""Timers of one customer between two events; more means that a timer does not go away by firing."""
_PARKED_FOR = timedelta(hours=1) // timedelta(microseconds=1)
_encoder = msgspec.json.Encoder()


class StuckTimerError(RuntimeError):
    """A timer that stays due after it was fired: a fault of the rules engine."""


class Turnover:
    """Decides one batch. `frontier` and `now` in the end are what the cursor and the rows carry."""

    def __init__(
        self, ruleset: Ruleset, now: datetime, frontier: int, documents: Mapping[CustomerId, CustomerDocument], outbox_seq: int = 0
    ) -> None:
        """`outbox_seq` is the last number that a row of the partition's outbox has."""
        self.ruleset = ruleset
        self.now = now
        self.frontier = frontier
        self.first_received_at: int | None = None
        self.history: list[HistoryRow] = []
        self.decisions: list[DecisionRow] = []
        self.outbox: list[OutboxRow] = []
        self.consents: list[GrantConsent] = []
        self.parked: dict[CustomerId, str] = {}
        self.counts: Counter[str] = Counter()
        self.repeats: list[Event] = []
        self._now = to_micros(now)
        self._outbox_seq = outbox_seq
        self._documents = dict(documents)
        self._changed: dict[CustomerId, CustomerDocument] = {}
        self._due: dict[CustomerId, int | None] = {customer: due_at_of(document) for customer, document in documents.items()}
        self._known: set[tuple[str, str, str]] = set()

    def __contains__(self, customer: CustomerId) -> bool:
        return customer in self._documents

    def add_documents(self, documents: Mapping[CustomerId, CustomerDocument]) -> None:
        """Take in more customers: those whose timers are due."""
        for customer, document in documents.items():
            self._documents[customer] = document
            self._due[customer] = due_at_of(document)

    def uncertain(self, accepted: Iterable[Accepted]) -> list[InputKey]:
        """Return the events of which only history knows whether they are new, or will by the time it is their turn in this batch."""
        events = [each.event for each in accepted]
        arriving = Counter([event.subject for event in events])
        forgetful = {customer for customer, count in arriving.items() if self._may_forget(customer, count)}
        if not forgetful:
            return []
        return [
            InputKey(event.subject, event.source, event.id)
            for event in events
            if event.subject in forgetful and needs_history_lookup(self._documents[event.subject], event, arriving[event.subject])
        ]

    def _may_forget(self, customer: CustomerId, arriving: int) -> bool:
        document = self._documents.get(customer)
        return document is not None and (document.recent_lost_at is not None or overflows(document, arriving))

    def note_known(self, keys: Iterable[InputKey]) -> None:
        """Note events that history has already."""
        self._known.update(keys)

    def take(self, accepted: Accepted) -> None:
        """Decide one event, after the customer's timers that are due before it."""
        event = accepted.event
        received_at = to_micros(event.receivedtime)
        if self.first_received_at is None:
            self.first_received_at = received_at
        self.move_frontier(min(received_at, self._now))
        document = self._documents.get(event.subject)
        if document is None:
            document = self._documents[event.subject] = new_document(event.subject)
        else:
            due_at = self._due.get(event.subject)
            if due_at is not None and due_at <= self.frontier:
                self.fire(event.subject)
                document = self._documents[event.subject]
        key = (event.subject, event.source, event.id)
        if key in self._known and needs_history_lookup(document, event):
            self.counts["duplicate"] += 1
            self.repeats.append(event)
            return
        self._known.add(key)
        duplicates = self.counts["duplicate"]
        after = self._decide(document, EventInput(event))
        if after is not None:
            self.history.append(
                HistoryRow(
                    bucket_of(event.subject), event.subject, after.seq, "event", event.id, event.source, event.type, accepted.payload
                )
            )
        elif self.counts["duplicate"] > duplicates:
            self.repeats.append(event)

    def move_frontier(self, moment: int) -> None:
        """Let timers up to `moment` (microseconds) fire; never goes back."""
        self.frontier = max(self.frontier, moment)

    def due_customers(self) -> list[CustomerId]:
        """Return the customers at hand with timers due up to the frontier, in the order of their times."""
        due = [(due_at, customer) for customer, due_at in self._due.items() if due_at is not None and due_at <= self.frontier]
        return [customer for _, customer in sorted(due)]

    def fire(self, customer: CustomerId) -> None:
        """Fire the customer's timers up to the frontier, each distinct time an input of its own.

        Where that fails, this customer's timers are parked: looked at again in an hour. They hold up nobody else, nor the customer's
        own events.
        """
        try:
            self._fire_all(customer)
        except Fatal:
            raise
        except Exception as error:  # noqa: BLE001 - a pure function failed on one document; whatever it was, the others go on
            self.park(customer, error)

    def park(self, customer: CustomerId, error: Exception) -> None:
        """Leave a customer's timers alone for an hour."""
        self._due[customer] = self.note_parked(customer, f"{type(error).__name__}: {error}")
        self.touch(customer)

    def note_parked(self, customer: CustomerId, why: str) -> int:
        """Note that a customer's timers are left alone; return until when, in microseconds."""
        self.parked[customer] = why
        self.counts["parked"] += 1
        return self._now + _PARKED_FOR

    def touch(self, customer: CustomerId) -> None:
        """Have the customer's row written even if nothing changed, so that its due time is what the document says."""
        self._changed.setdefault(customer, self._documents[customer])

    def _fire_all(self, customer: CustomerId) -> None:
        for _ in range(MAX_TIMERS_IN_A_ROW):
            due_at = self._due.get(customer)
            if due_at is None or due_at > self.frontier:
                return
            self._fire_at(customer, due_at)
        raise StuckTimerError(f"{MAX_TIMERS_IN_A_ROW} timers in a row")

    def earliest_due(self, default: int) -> int:
        """Return when the earliest timer of the customers at hand is due."""
        return min((due_at for due_at in self._due.values() if due_at is not None), default=default)

    def verdicts(self) -> Counter[tuple[str, str]]:
        """Count the decisions by verdict and reason."""
        return Counter((row.verdict, row.reason) for row in self.decisions)

    def changed(self) -> Iterator[tuple[CustomerDocument, CustomerRow]]:
        """Yield the documents to store, with their rows."""
        for customer, document in self._changed.items():
            stored = pack(encode_document(document))
            yield document, CustomerRow(bucket_of(customer), customer, stored, self._due[customer], self._now)

    def _fire_at(self, customer: CustomerId, due_at: int) -> None:
        timer = TimerInput(from_micros(due_at))
        after = self._decide(self._documents[customer], timer)
        if after is not None:
            payload = f'{{"due_at":"{timer.due_at.isoformat()}"}}'
            self.history.append(HistoryRow(bucket_of(customer), customer, after.seq, "timer", timer.input_id, "povod", "timer", payload))

    def _decide(self, document: CustomerDocument, given: Input) -> CustomerDocument | None:
        """Decide one input and keep what follows from it; None for a duplicate."""
        after, outcome = decide(document, given, self.ruleset, self.now)
        if after is document:
            self._pass_by(outcome)
            return None
        self.counts["event" if isinstance(given, EventInput) else "timer"] += 1
        customer = document.customer
        self._documents[customer] = self._changed[customer] = after
        self._due[customer] = due_at_of(after)
        if outcome.effects:
            self._keep(after, outcome.effects)
        return after

    def _pass_by(self, outcome: Outcome) -> None:
        """Keep nothing of an event that was decided before, and only the copy to publish of one that goes to another customer."""
        self.counts["passed_on" if outcome.passed_on else "duplicate"] += 1
        for effect in outcome.effects:
            if isinstance(effect, Forward):
                self._forward(effect.event)

    def _keep(self, document: CustomerDocument, effects: Iterable[Effect]) -> None:
        n = 0
        for effect in effects:
            if isinstance(effect, RecordDecision):
                self.decisions.append(_decision_row(document, n, effect))
                n += 1
            elif isinstance(effect, Publish):
                self._publish(effect)
            elif isinstance(effect, Forward):
                self._forward(effect.event)
            else:
                self.consents.append(effect)

    def _publish(self, effect: Publish) -> None:
        command = effect.command
        value = encode_command(command).decode()
        self.queue(DISPATCH, command.customer, value, command.traceparent)

    def _forward(self, event: Event) -> None:
        """Queue an event for another customer; raises `InvalidEvent` where no topic takes it, so that it is given up, not the partition."""
        value = encode_event(event)
        if len(value) > LARGEST:
            raise InvalidEvent(f"with the names that it has passed, the event has {len(value)} bytes", code="record_too_large")
        self.queue(EVENTS, event.subject, value.decode(), event.traceparent)

    def queue(self, topic: str, key: str, value: str, traceparent: str | None) -> None:
        """Put a record into the outbox."""
        self._outbox_seq += 1
        self.outbox.append(OutboxRow(self._outbox_seq, topic, key, value, traceparent))


def due_at_of(document: CustomerDocument) -> int | None:
    """Return when the document's earliest timer is due, in microseconds."""
    due = next_due_at(document)
    return None if due is None else to_micros(due)


def _decision_row(document: CustomerDocument, n: int, effect: RecordDecision) -> DecisionRow:
    decision = effect.decision
    return DecisionRow(
        bucket_of(document.customer),
        document.customer,
        document.seq,
        n,
        decision.journey,
        decision.key,
        decision.step,
        decision.input_id,
        decision.verdict.value,
        decision.reason.value,
        decision.channel,
        decision.message_id,
        _detail(decision.detail),
    )


def _detail(detail: dict[str, Any]) -> str:
    return _encoder.encode(detail).decode() if detail else "{}"
