"""Customers on partitions of their own, in memory: logs and outboxes keep their order, anything else may vary."""

from collections import Counter, deque
from collections.abc import Iterable
from datetime import datetime

from services.contracts.events import Event
from services.contracts.ids import CustomerId
from services.rules.core import decide
from services.rules.core.document import CustomerDocument, new_document
from services.rules.core.effects import Forward, Publish, Record
from services.rules.core.inputs import EventInput
from services.rules.core.ruleset import Ruleset

MAX_STEPS = 10_000


class Bus:
    """Documents, a log and an outbox each. `decided` counts how often each (source, id) came into a history."""

    def __init__(self, ruleset: Ruleset, customers: Iterable[str]) -> None:
        self.ruleset = ruleset
        self.documents: dict[CustomerId, CustomerDocument] = {}
        self.logs: dict[CustomerId, deque[Event]] = {}
        self.outboxes: dict[CustomerId, deque[Event]] = {}
        self.decided: Counter[tuple[str, str]] = Counter()
        self.decided_by: dict[tuple[str, str], CustomerId] = {}
        self.effects: list[Publish | Record] = []
        for customer in customers:
            self._add(CustomerId(customer))

    def _add(self, customer: CustomerId) -> None:
        self.documents[customer] = new_document(customer)
        self.logs[customer], self.outboxes[customer] = deque(), deque()

    def post(self, *events: Event) -> None:
        """Append events to their customers' logs."""
        for event in events:
            self.logs[event.subject].append(event)

    def step(self, choice: int, *, twice: bool = False) -> bool:
        """Decide one event, or publish one (`twice`: the relay died before it had deleted it); False where nothing is left to do."""
        waiting = [queue for queues in (self.logs, self.outboxes) for queue in queues.values() if queue]
        if not waiting:
            return False
        queue = waiting[choice % len(waiting)]
        event = queue.popleft()
        if any(queue is outbox for outbox in self.outboxes.values()):
            self.logs[event.subject].extend([event, event] if twice else [event])
        else:
            self._decide(event)
        return True

    def drain(self) -> None:
        """Go on until nothing is left."""
        for _ in range(MAX_STEPS):
            if not self.step(0):
                return
        raise AssertionError("events go round for ever")

    def _decide(self, event: Event) -> None:
        before = self.documents[event.subject]
        after, outcome = decide(before, EventInput(event), self.ruleset, self._now(event))
        self.documents[event.subject] = after
        if not (outcome.duplicate or outcome.passed_on):
            self.decided[event.source, event.id] += 1
            self.decided_by[event.source, event.id] = event.subject
        for effect in outcome.effects:
            if isinstance(effect, Forward):
                self.outboxes[event.subject].append(effect.event)
            elif isinstance(effect, Publish | Record):
                self.effects.append(effect)

    def _now(self, event: Event) -> datetime:
        return event.receivedtime

    @property
    def unmarked(self) -> list[CustomerId]:
        """The customers who are themselves."""
        return [customer for customer, document in self.documents.items() if not document.merged_into]

    def root_of(self, customer: CustomerId) -> CustomerId:
        """Follow the marks to their end."""
        for _ in self.documents:
            if not (further := self.documents[customer].merged_into):
                return customer
            customer = further
        raise AssertionError(f"the marks of {customer} go round")
