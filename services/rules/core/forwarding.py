"""A customer who became another one: their document is a mark, and what still comes for them is decided by that other one.

An event is passed on with its id, source and times, so that it counts once wherever it ends, and names in `via` whom it has passed. Two
marks may lead to each other where both were set at once, on two partitions. The first event that comes round proves it: it passed this
customer, went where the mark still points, and is back. Then the smallest name of the round drops its mark, and nobody else does.
"""

import msgspec

from services.contracts.errors import InvalidEvent
from services.contracts.events import Event
from services.contracts.ids import CustomerId
from services.contracts.merges import MERGE, encode_via, passed_by
from services.rules.core.document import CustomerDocument, RefusedMerge
from services.rules.core.effects import Forward, Outcome

MAX_HOPS = 50
"""Customers that an event may pass; beyond that it is a dead letter."""
CYCLE = "cycle"
_KEPT_REFUSALS = 10


def pass_on(document: CustomerDocument, event: Event) -> tuple[CustomerDocument, Outcome | None]:
    """Return what becomes of an event of a marked customer: the same document with the event's way on, or a document that decides it.

    Raises `InvalidEvent` (`too_many_hops`) where it has passed 50 customers.
    """
    if event.type == MERGE:
        return document, None
    passed = passed_by(event)
    if _ends_round(document, passed):
        return _unmarked(document, event), None
    if len(passed) >= MAX_HOPS:
        raise InvalidEvent(f"passed on by {len(passed)} customers who became another, the last is {passed[-1]!r}", code="too_many_hops")
    further = msgspec.structs.replace(event, subject=document.merged_into, via=encode_via((*passed, document.customer)))
    return document, Outcome(effects=(Forward(further),), passed_on=True)


def _ends_round(document: CustomerDocument, passed: list[CustomerId]) -> bool:
    """Say whether the event has come round over this mark, and it is this customer's to drop it.

    What passed while another mark stood here proves nothing of the present one.
    """
    if document.customer not in passed:
        return False
    start = len(passed) - 1 - passed[::-1].index(document.customer)
    members = passed[start:]
    return members[1:2] == [document.merged_into] and document.customer == min(members)


def _unmarked(document: CustomerDocument, event: Event) -> CustomerDocument:
    refused = note_refusal(document, document.merged_into, event, CYCLE)
    return msgspec.structs.replace(document, merged_into=CustomerId(""), refused_merges=refused)


def note_refusal(document: CustomerDocument, into: str, event: Event, reason: str) -> tuple[RefusedMerge, ...]:
    """Return the refused merges with one more."""
    return (*document.refused_merges, RefusedMerge(into[:255], event.time, reason))[-_KEPT_REFUSALS:]
