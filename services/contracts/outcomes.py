"""What became of a message, reported by dispatch as ordinary events with the customer as key."""

from enum import StrEnum
from typing import Any

import msgspec

from services.contracts.ids import Channel, JourneyName, MessageId, StepId, TemplateName


class OutcomeType(StrEnum):
    """Event types of outcomes. `FREES_SLOT` names those that give a frequency cap's slot back."""

    SENT = "message.sent"
    """The provider accepted it."""
    FAILED = "message.failed"
    """The provider refused it, or it could not be rendered."""
    REFUSED = "message.refused"
    """Consent, suppression or a kill switch stood against it when it was claimed."""
    RECALLED = "message.recalled"
    EXPIRED = "message.expired"
    UNKNOWN = "message.unknown"
    """The answer was ambiguous and no further attempt is allowed; it may have arrived."""


FREES_SLOT = frozenset({OutcomeType.FAILED, OutcomeType.REFUSED, OutcomeType.RECALLED, OutcomeType.EXPIRED})


class OutcomeData(msgspec.Struct, frozen=True, kw_only=True):
    """The `data` of an outcome event. `reason` is a lower_snake code, `detail` what the provider said.

    (No secrets, at most 500 characters.)
    """

    message_id: MessageId
    channel: Channel
    journey: JourneyName
    step: StepId
    template: TemplateName
    attempt: int
    reason: str | None = None
    detail: str | None = None
    provider_id: str | None = None
    suppress: bool = False
    """True where the address must not be used again (hard bounce, blocked bot)."""

    def to_dict(self) -> dict[str, Any]:
        """Return builtins for an event's `data`."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data
