"""The journal's vocabulary: the states of a delivery and a delivery as a worker holds it.

queued -> claimed -> sending -> sent
                             |-> retry_at  -> claimed ...
                             |-> ambiguous -> claimed -> sending -> sent | unknown    (channels that may try once more)
                             |-> failed | expired | unknown
waiting -> refused | recalled | expired
sending -> recalled | unknown                  (a recall came during the attempt, which has not delivered it for sure)

`waiting` is queued, retry_at or ambiguous. Whatever follows an ambiguous attempt and is not `sent` ends as `unknown`.
"""

from enum import StrEnum

import msgspec

from services.contracts.messages import Message
from services.contracts.outcomes import OutcomeType


class State(StrEnum):
    """Where a delivery stands; stored, so the words are for ever."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    SENDING = "sending"
    """Written before the first byte: from here on only an answer, or the lack of one, says what happened."""
    SENT = "sent"
    RETRY_AT = "retry_at"
    AMBIGUOUS = "ambiguous"
    """An attempt may or may not have delivered it; exactly one more is allowed."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    RECALLED = "recalled"
    EXPIRED = "expired"


OUTCOMES = {
    State.SENT: OutcomeType.SENT,
    State.FAILED: OutcomeType.FAILED,
    State.UNKNOWN: OutcomeType.UNKNOWN,
    State.REFUSED: OutcomeType.REFUSED,
    State.RECALLED: OutcomeType.RECALLED,
    State.EXPIRED: OutcomeType.EXPIRED,
}
"""The states that end a delivery, and the outcome each reports."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message and how far it has come. `attempt` counts attempts begun, `ambiguous` those whose fate nobody knows."""

    message: Message
    attempt: int = 0
    ambiguous: int = 0


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Deliveries that a worker holds together, under one token; without the token nothing can be written about them."""

    token: str
    deliveries: tuple[Delivery, ...]


def ending(state: State, ambiguous: int) -> State:
    """Return how a delivery ends: one that an earlier attempt may have delivered can't be called failed, recalled, refused or expired."""
    return State.UNKNOWN if ambiguous and state is not State.SENT else state


def waiting(attempt: int, ambiguous: int) -> State:
    """Return the state of a delivery that waits to be claimed."""
    if ambiguous:
        return State.AMBIGUOUS
    return State.RETRY_AT if attempt else State.QUEUED
