"""What reaches a customer's document: events (outcomes and operators' acts are events too) and timers that fell due."""

from datetime import datetime

import msgspec

from services.contracts.events import Event


class EventInput(msgspec.Struct, frozen=True, gc=False):
    """An event read from the log. Its logical time is `event.receivedtime`."""

    event: Event

    @property
    def input_id(self) -> str:
        """Return the id that decisions and history carry."""
        return self.event.id

    @property
    def logical_at(self) -> datetime:
        """Return the time from which waits count: when Povod received it, however late it is decided."""
        return self.event.receivedtime


class TimerInput(msgspec.Struct, frozen=True, gc=False):
    """All timers of the customer that are due at exactly this moment: they fire together, so that arbitration sees them all."""

    due_at: datetime

    @property
    def input_id(self) -> str:
        """Return the id that decisions and history carry."""
        return f"timer:{self.due_at.isoformat()}"

    @property
    def logical_at(self) -> datetime:
        """Return the time from which waits count: when it was due, however late it fires."""
        return self.due_at


Input = EventInput | TimerInput
