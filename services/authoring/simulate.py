"""What would these rules have sent? The decision core over a list of events, in memory, without services.

`now` is the event's time or the timer's due time. Customers do not influence each other, so each is run to the end on their own and
forgotten: memory holds the events and one document. Every message counts as accepted at the moment of its decision.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import msgspec

from services.contracts.decisions import Decision, Verdict
from services.contracts.errors import Fatal
from services.contracts.events import Event
from services.contracts.ids import Channel, CustomerId, EventId, JourneyName
from services.contracts.messages import Message
from services.contracts.outcomes import OutcomeData, OutcomeType
from services.rules.core.decide import decide, needs_history_lookup
from services.rules.core.document import CustomerDocument, new_document, next_due_at
from services.rules.core.effects import Outcome, Publish, Record
from services.rules.core.inputs import EventInput, Input, TimerInput
from services.rules.core.ruleset import Ruleset

PROGRESS_EVERY = 1_000
"""Events between two calls of `on_progress`."""
MAX_TIMERS_IN_A_ROW = 10_000
"""Timers of one customer between two events; more means that a timer does not go away by firing."""


class JourneyFigures(msgspec.Struct):
    """What one journey did. `skipped` counts candidates by the reason of the first gate that refused."""

    enrolled: int = 0
    exited: int = 0
    sent: int = 0
    skipped: dict[str, int] = {}
    deferred: int = 0
    held_out: int = 0


class Figures(msgspec.Struct):
    """The result: events read (duplicates too), customers, and per journey and channel what came of them."""

    events: int = 0
    customers: int = 0
    journeys: dict[JourneyName, JourneyFigures] = {}
    messages: dict[Channel, int] = {}

    def journey(self, name: JourneyName) -> JourneyFigures:
        """Return the journey's figures, new ones at first sight."""
        return self.journeys.setdefault(name, JourneyFigures())

    def count_outcome(self, outcome: Outcome, on_decision: Callable[[Decision], object]) -> None:
        """Add what one decision led to, and pass on its rows of the ledger."""
        for name in outcome.enrolled:
            self.journey(JourneyName(name)).enrolled += 1
        for name in outcome.exited:
            self.journey(JourneyName(name)).exited += 1
        for effect in outcome.effects:
            if isinstance(effect, Record):
                self.count(effect.decision)
                on_decision(effect.decision)

    def count(self, decision: Decision) -> None:
        """Add one row of the ledger."""
        figures = self.journey(decision.journey)
        match decision.verdict:
            case Verdict.SENT:
                figures.sent += 1
                channel = decision.channel or Channel("")
                self.messages[channel] = self.messages.get(channel, 0) + 1
            case Verdict.SKIPPED:
                figures.skipped[decision.reason] = figures.skipped.get(decision.reason, 0) + 1
            case Verdict.DEFERRED:
                figures.deferred += 1
            case Verdict.HELD_OUT:
                figures.held_out += 1


def simulate(
    events: Sequence[Event],
    ruleset: Ruleset,
    *,
    on_decision: Callable[[Decision], object] = lambda _decision: None,
    on_progress: Callable[[int], object] = lambda _done: None,
) -> Figures:
    """Run the rule set over events (in order of time) and return what it did.

    `on_decision` gets each row of the ledger, by customer and then by time; `on_progress` the number of events done so far.
    """
    figures = Figures(events=len(events), journeys={name: JourneyFigures() for name in sorted(ruleset.journeys)})
    done = 0
    for customer, own in _by_customer(events).items():
        _Run(customer, ruleset, figures, on_decision).run(own)
        figures.customers += 1
        if done // PROGRESS_EVERY != (done := done + len(own)) // PROGRESS_EVERY:
            on_progress(done)
    return figures


def _by_customer(events: Sequence[Event]) -> dict[CustomerId, list[Event]]:
    grouped: dict[CustomerId, list[Event]] = {}
    for event in events:
        grouped.setdefault(event.subject, []).append(event)
    return grouped


class _Run:
    """One customer from their first event to their last timer."""

    def __init__(self, customer: CustomerId, ruleset: Ruleset, figures: Figures, on_decision: Callable[[Decision], object]) -> None:
        self._document: CustomerDocument = new_document(customer)
        self._ruleset = ruleset
        self._figures = figures
        self._on_decision = on_decision
        self._decided: set[tuple[str, EventId]] = set()

    def run(self, events: Sequence[Event]) -> None:
        now = events[0].time
        for event in events:
            self._fire_timers(now, event.time)
            now = event.time
            if not self._is_forgotten_duplicate(event):
                self._decide(EventInput(event), now)
        self._fire_timers(now, None)

    def _is_forgotten_duplicate(self, event: Event) -> bool:
        """Say whether the document had to forget this id too early; live, the rules ask `history` then."""
        key = (event.source, event.id)
        known = key in self._decided and needs_history_lookup(self._document, event)
        self._decided.add(key)
        return known

    def _fire_timers(self, now: datetime, until: datetime | None) -> None:
        """Fire what is due up to and including `until`; everything there is where it is None."""
        for _ in range(MAX_TIMERS_IN_A_ROW):
            due = next_due_at(self._document)
            if due is None or (until is not None and due > until):
                return
            now = max(now, due)
            self._decide(TimerInput(due), now)
        raise Fatal(f"customer {self._document.customer!r} has a timer that does not go away by firing: a fault of Povod, please report it")

    def _decide(self, given: Input, now: datetime) -> None:
        self._document, outcome = decide(self._document, given, self._ruleset, now)
        self._figures.count_outcome(outcome, self._on_decision)
        for message in _messages(outcome):
            self._decide(EventInput(_accepted(message, now)), now)


def _messages(outcome: Outcome) -> Iterator[Message]:
    for effect in outcome.effects:
        if isinstance(effect, Publish) and isinstance(effect.command, Message):
            yield effect.command


def _accepted(message: Message, now: datetime) -> Event:
    """Return what dispatch would report once the provider has taken the message."""
    data = OutcomeData(
        message_id=message.message_id,
        channel=message.channel,
        journey=message.journey,
        step=message.step,
        template=message.template,
        attempt=1,
    )
    return Event(
        id=EventId(f"{message.message_id}:{OutcomeType.SENT}:1"),
        type=OutcomeType.SENT,
        source="povod/simulate",
        subject=message.customer,
        time=now,
        receivedtime=now,
        data=data.to_dict(),
    )
