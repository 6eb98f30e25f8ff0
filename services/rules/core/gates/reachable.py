"""Is there an address?"""

from services.contracts.decisions import Reason
from services.contracts.ids import Channel
from services.rules.core.gates.answer import Answer
from services.rules.core.turn import Candidate, Turn

UNKNOWN_RECIPIENT = "unknown"
"""Stands for the address where `assume_contactable` supposes one: nothing that is simulated is ever sent."""


def recipient_of(turn: Turn, channel: Channel) -> str | None:
    """Return the customer's address on a channel."""
    known = turn.document.addresses.get(channel)
    return known if known or not turn.ruleset.assume_contactable else UNKNOWN_RECIPIENT


def reachable(turn: Turn, candidate: Candidate, channel: Channel) -> Answer:  # noqa: ARG001 - the gates' common shape
    """Refuse where no address is known."""
    return Answer("reachable", None if recipient_of(turn, channel) else Reason.UNREACHABLE, channel=channel)
