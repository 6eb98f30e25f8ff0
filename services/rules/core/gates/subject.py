"""The shapes of the gates before a message."""

from typing import Protocol

from services.contracts.ids import Channel
from services.rules.core.gates.answer import Answer
from services.rules.core.turn import Candidate, Turn


class CandidateGate(Protocol):
    """Asks about a candidate whatever its channel. Pure; changes neither argument."""

    def __call__(self, turn: Turn, candidate: Candidate) -> Answer:
        """Return the answer."""


class ChannelGate(Protocol):
    """Asks about a candidate on one channel. Pure; changes neither argument."""

    def __call__(self, turn: Turn, candidate: Candidate, channel: Channel) -> Answer:
        """Return the answer."""
