"""Outcome events: what became of a message, told to the rules with the customer as key."""

from datetime import datetime
from typing import NamedTuple

from services.contracts.events import Event
from services.contracts.ids import EventId
from services.contracts.messages import Message
from services.contracts.outcomes import OutcomeData
from services.dispatch.states import OUTCOMES, Delivery
from services.dispatch.verdicts import Verdict

SOURCE = "povod.dispatch"


class Fate(NamedTuple):
    """What became of an attempt, as `OutcomeData` words it; `kind` is the event's type without `message.`."""

    kind: str
    attempt: int
    reason: str | None
    detail: str | None
    provider_id: str | None
    suppress: bool


def outcome_of(delivery: Delivery, verdict: Verdict, now: datetime) -> Event | None:
    """Return the event that reports a verdict, or None where the delivery goes on.

    Its id is `message_id:kind:attempt`, so that reporting the same result twice is one event.
    """
    outcome = OUTCOMES.get(verdict.state)
    if outcome is None:
        return None
    kind = outcome.value.removeprefix("message.")
    fate = Fate(kind, verdict.attempt, verdict.reason, verdict.detail, verdict.provider_id, verdict.suppress)
    return event_of(delivery.message, fate, f"{kind}:{verdict.attempt}", now)


def event_of(message: Message, fate: Fate, name: str, now: datetime) -> Event:
    """Return the event that tells the rules of a message's fate; its id is `message_id:name`."""
    data = OutcomeData(
        message_id=message.message_id,
        channel=message.channel,
        journey=message.journey,
        step=message.step,
        template=message.template,
        attempt=fate.attempt,
        reason=fate.reason,
        detail=fate.detail,
        provider_id=fate.provider_id,
        suppress=fate.suppress,
    )
    return Event(
        id=EventId(f"{message.message_id}:{name}"),
        type=f"message.{fate.kind}",
        source=SOURCE,
        subject=message.customer,
        time=now,
        receivedtime=now,
        data=data.to_dict(),
        traceparent=message.traceparent,
    )
