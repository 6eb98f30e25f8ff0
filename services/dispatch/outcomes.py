"""Outcome events: what became of a message, told to the rules with the customer as key."""

from datetime import datetime

from services.contracts.events import Event
from services.contracts.ids import EventId
from services.contracts.outcomes import OutcomeData
from services.dispatch.states import OUTCOMES, Delivery
from services.dispatch.verdicts import Verdict

SOURCE = "povod.dispatch"


def outcome_of(delivery: Delivery, verdict: Verdict, now: datetime) -> Event | None:
    """Return the event that reports a verdict, or None where the delivery goes on.

    Its id is `message_id:kind:attempt`, so that reporting the same result twice is one event.
    """
    outcome = OUTCOMES.get(verdict.state)
    if outcome is None:
        return None
    message = delivery.message
    data = OutcomeData(
        message_id=message.message_id,
        channel=message.channel,
        journey=message.journey,
        step=message.step,
        template=message.template,
        attempt=verdict.attempt,
        reason=verdict.reason,
        detail=verdict.detail,
        provider_id=verdict.provider_id,
        suppress=verdict.suppress,
    )
    return Event(
        id=EventId(f"{message.message_id}:{outcome.value.removeprefix('message.')}:{verdict.attempt}"),
        type=outcome.value,
        source=SOURCE,
        subject=message.customer,
        time=now,
        receivedtime=now,
        data=data.to_dict(),
        traceparent=message.traceparent,
    )
