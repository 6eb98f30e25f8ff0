"""What would these rules have sent? The decision core over a list of events, in memory, without services.

`now` is the event's time or the timer's due time. Customers do not influence each other, so each is run to the end on their own (those
who become one, together) and forgotten: memory holds the events and few documents. Every message counts as accepted at the moment of its
decision.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from services.authoring.together import groups_of, with_merges
from services.contracts.decisions import Decision, Verdict
from services.contracts.errors import Fatal
from services.contracts.events import Event
from services.contracts.ids import Channel, CustomerId, EventId, JourneyName
from services.contracts.merges import MERGE
from services.contracts.messages import Message
from services.contracts.outcomes import OutcomeData, OutcomeType
from services.rules.core.decide import decide, needs_history_lookup
from services.rules.core.document import CustomerDocument, new_document, next_due_at
from services.rules.core.effects import Forward, Outcome, Publish, Record
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
    for own in groups_of(with_merges(events)):
        figures.customers += _live(own, _Settings(ruleset, figures, on_decision))
        if done // PROGRESS_EVERY != (done := done + len(own)) // PROGRESS_EVERY:
            on_progress(done)
    return figures


class _Settings(NamedTuple):
    ruleset: Ruleset
    figures: Figures
    on_decision: Callable[[Decision], object]


def _live(events: Sequence[Event], settings: _Settings) -> int:
    """Run the events of customers who hang together; return how many they are in the end."""
    if any(event.type == MERGE for event in events):
        return _Group(settings).run(events)
    _Run(events[0].subject, settings).run(events)
    return 1


class _Run:
    """One customer from their first event to their last timer."""

    def __init__(self, customer: CustomerId, settings: _Settings) -> None:
        self.document: CustomerDocument = new_document(customer)
        self._settings = settings
        self._decided: set[tuple[str, EventId]] = set()

    def run(self, events: Sequence[Event]) -> None:
        now = events[0].time
        for event in events:
            self._fire_timers(now, event.time)
            now = event.time
            self.take(event, now)
        self._fire_timers(now, None)

    def take(self, event: Event, now: datetime) -> Sequence[Event]:
        """Decide an event; return those that go to another customer."""
        return () if self._is_forgotten_duplicate(event) else self.decide(EventInput(event), now)

    def _is_forgotten_duplicate(self, event: Event) -> bool:
        """Say whether the document had to forget this id too early; live, the rules ask `history` then."""
        key = (event.source, event.id)
        known = key in self._decided and needs_history_lookup(self.document, event)
        self._decided.add(key)
        return known

    def _fire_timers(self, now: datetime, until: datetime | None) -> None:
        """Fire what is due up to and including `until`; everything there is where it is None."""
        for _ in range(MAX_TIMERS_IN_A_ROW):
            due = next_due_at(self.document)
            if due is None or (until is not None and due > until):
                return
            now = max(now, due)
            self.decide(TimerInput(due), now)
        raise _stuck(self.document)

    def decide(self, given: Input, now: datetime) -> Sequence[Event]:
        """Decide an input, and at once what dispatch would report; return the events that go to another customer."""
        self.document, outcome = decide(self.document, given, self._settings.ruleset, now)
        if not (outcome.effects or outcome.enrolled or outcome.exited):
            return ()
        self._settings.figures.count_outcome(outcome, self._settings.on_decision)
        for message in _messages(outcome):
            self.decide(EventInput(_accepted(message, now)), now)
        return [effect.event for effect in outcome.effects if isinstance(effect, Forward)]


class _Group:
    """Customers who may become one, from their first event to their last timer.

    What a customer who became another passes on is decided at once, as if nothing lay between two partitions.
    """

    def __init__(self, settings: _Settings) -> None:
        self._settings = settings
        self._runs: dict[CustomerId, _Run] = {}

    def run(self, events: Sequence[Event]) -> int:
        """Let it all happen; return how many customers there are in the end."""
        now = events[0].time
        for event in events:
            self._fire_timers(now, event.time)
            now = event.time
            self._take(event, now)
        self._fire_timers(now, None)
        return sum(not run.document.merged_into for run in self._runs.values())

    def _take(self, event: Event, now: datetime) -> None:
        if event.subject not in self._runs:
            self._runs[event.subject] = _Run(event.subject, self._settings)
        for further in self._runs[event.subject].take(event, now):
            self._take(further, now)

    def _fire_timers(self, now: datetime, until: datetime | None) -> None:
        """Fire what is due up to and including `until`, the earliest of all first; everything there is where it is None."""
        for _ in range(MAX_TIMERS_IN_A_ROW):
            waiting = [(due, customer) for customer, run in self._runs.items() if (due := next_due_at(run.document)) is not None]
            due, customer = min(waiting, default=(None, None))
            if due is None or customer is None or (until is not None and due > until):
                return
            now = max(now, due)
            self._runs[customer].decide(TimerInput(due), now)
        raise _stuck(*(run.document for run in self._runs.values()))


def _stuck(*documents: CustomerDocument) -> Fatal:
    names = " or ".join(repr(document.customer) for document in documents)
    return Fatal(f"customer {names} has a timer that does not go away by firing: a fault of Povod, please report it")


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
