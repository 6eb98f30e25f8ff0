"""One input of one customer, decided: the door of the core."""

from datetime import datetime

from services.contracts.events import Event
from services.rules.core.document import CustomerDocument
from services.rules.core.effects import Outcome
from services.rules.core.inputs import Input
from services.rules.core.ruleset import Ruleset


def decide(document: CustomerDocument, given: Input, ruleset: Ruleset, now: datetime) -> tuple[CustomerDocument, Outcome]:
    """Return the customer's next document and what is to be done; never changes `document`.

    `now` (aware UTC) is when it is decided: it governs sending, quiet hours, caps and expiry. Waits count from `given.logical_at`.
    An event whose (source, id) was decided within 48 hours gives the same document and `Outcome(duplicate=True)`.
    """
    raise NotImplementedError


def needs_history_lookup(document: CustomerDocument, event: Event) -> bool:
    """Say whether the document can't know if this event is a duplicate: the customer is so busy that ids of the last 48 h were forgotten.

    The shell then asks `history` for (source, id) before it calls `decide`.
    """
    raise NotImplementedError
