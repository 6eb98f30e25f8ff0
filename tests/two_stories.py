"""Two stories of which one flows into the other: a visitor, and the customer whom they become."""

from datetime import datetime
from typing import Any

import msgspec

from services.contracts.events import Event
from services.contracts.ids import CustomerId
from services.rules.core.document import new_document
from services.rules.core.effects import Outcome
from services.rules.core.inputs import EventInput
from services.rules.core.ruleset import Ruleset
from tests.builders import CUSTOMER, NOON, make_document, make_event
from tests.story import Story

VISITOR = "visitor"


class TwoStories:
    """`visitor` is somebody of whom nothing is known, `customer` (c-1) can be reached; `pass_on` hands over what flows."""

    def __init__(self, ruleset: Ruleset, **customer: Any) -> None:
        self.visitor = Story(ruleset, new_document(CustomerId(VISITOR)))
        self.customer = Story(ruleset, make_document(**customer))
        self._passed = 0

    def merge(self, at: datetime = NOON, into: object = CUSTOMER, event_id: str = "") -> Outcome:
        """Tell the visitor's document that the visitor is the customer, and hand over what follows."""
        outcome = self.tell("povod.merge", {"into": into}, at=at, id=event_id)
        self.pass_on()
        return outcome

    def tell(self, event_type: str = "product.added", data: dict[str, Any] | None = None, *, at: datetime = NOON, **more: Any) -> Outcome:
        """Tell the visitor's document."""
        return self.visitor.tell(event_type, data, at=at, customer=VISITOR, **more)

    def pass_on(self) -> None:
        """Tell the customer's document what the visitor's has passed on, in order."""
        for event in self.visitor.forwards[self._passed :]:
            self.customer.give(EventInput(event), event.receivedtime)
        self._passed = len(self.visitor.forwards)


def event_with(event_type: str = "product.added", data: dict[str, Any] | None = None, *, at: datetime = NOON, **attributes: Any) -> Event:
    """Return an event with extension attributes (`bot`, `via`)."""
    return msgspec.structs.replace(make_event(event_type, data, at=at), **attributes)
