"""One customer's story told to the decision core: events and timers in order, and what came of them."""

from datetime import datetime
from typing import Any

from services.contracts.decisions import Decision
from services.contracts.events import Event
from services.contracts.messages import Message, Recall
from services.rules.core import decide
from services.rules.core.document import CustomerDocument, next_due_at
from services.rules.core.effects import Forward, GrantConsent, Outcome, Publish, Record
from services.rules.core.inputs import EventInput, Input, TimerInput
from services.rules.core.ruleset import Ruleset
from tests.builders import NOON, make_document, make_event

MAX_TIMERS = 1_000


class Story:
    """Runs a rule set over one customer. Timers that are due before an event fire first, as in the worker."""

    def __init__(self, ruleset: Ruleset, document: CustomerDocument | None = None) -> None:
        self.ruleset = ruleset
        self.document = document or make_document()
        self.decisions: list[Decision] = []
        self.messages: list[Message] = []
        self.recalls: list[Recall] = []
        self.consents: list[GrantConsent] = []
        self.forwards: list[Event] = []
        self.enrolled: list[str] = []
        self.exited: list[str] = []

    def tell(self, event_type: str = "product.added", data: dict[str, Any] | None = None, *, at: datetime = NOON, **more: Any) -> Outcome:
        """Fire the timers due before this event is received, then decide it, at once or at `now`."""
        now = more.pop("now", None)
        event = make_event(event_type, data, at=at, **more)
        self.wait_until(event.receivedtime)
        return self.give(EventInput(event), now or event.receivedtime)

    def tell_event(self, event: Event) -> Outcome:
        """Decide an event that is there already, at the time of its reception."""
        self.wait_until(event.receivedtime)
        return self.give(EventInput(event), event.receivedtime)

    def report(self, message: Message, outcome: str, at: datetime, **data: Any) -> Outcome:
        """Report what became of a message."""
        known = {"message_id": message.message_id, "channel": message.channel, **data}
        return self.tell(outcome, known, at=at, id=f"{message.message_id}:{outcome}", source="povod/dispatch")

    def wait_until(self, moment: datetime) -> None:
        """Fire every timer due up to and including `moment`, each at its own time."""
        for _ in range(MAX_TIMERS):
            due = next_due_at(self.document)
            if due is None or due > moment:
                return
            self.give(TimerInput(due), due)
        raise AssertionError(f"more than {MAX_TIMERS} timers in a row")

    def give(self, given: Input, now: datetime) -> Outcome:
        """Decide one input and keep what comes of it."""
        self.document, outcome = decide(self.document, given, self.ruleset, now)
        self.enrolled += outcome.enrolled
        self.exited += outcome.exited
        for effect in outcome.effects:
            if isinstance(effect, Record):
                self.decisions.append(effect.decision)
            elif isinstance(effect, GrantConsent):
                self.consents.append(effect)
            elif isinstance(effect, Forward):
                self.forwards.append(effect.event)
            else:
                self._keep(effect)
        return outcome

    def _keep(self, effect: Publish) -> None:
        if isinstance(effect.command, Message):
            self.messages.append(effect.command)
        else:
            self.recalls.append(effect.command)

    @property
    def reasons(self) -> list[str]:
        """The reasons of all decisions so far, in order."""
        return [decision.reason.value for decision in self.decisions]

    @property
    def sent_at(self) -> list[datetime]:
        """When each message was decided."""
        return [message.decided_at for message in self.messages]
