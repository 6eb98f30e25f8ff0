"""A channel that has no provider in the settings: says so for every message, instead of letting them wait unseen."""

from datetime import timedelta

from services.contracts.ids import Channel
from services.dispatch.channels.port import Answer, Reject, Rendered


class UnconfiguredSender:
    """Rejects everything."""

    provider = "none"
    at_most_once = False
    concurrency = 1
    patience = timedelta(0)

    def __init__(self, channel: Channel, missing: str) -> None:
        """`missing` is the key of the setting to fill in."""
        self.channel = channel
        self._missing = missing

    async def send(self, message: Rendered) -> Answer:  # noqa: ARG002 - the port's
        """Reject the message."""
        return Reject(reason="not_configured", kind="content", detail=f"set {self._missing}")

    async def close(self) -> None:
        """There is nothing to close."""
