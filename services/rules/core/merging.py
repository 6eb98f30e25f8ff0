"""A customer becomes another one (`povod.merge`): the document turns into a mark, its content goes to the other one as one event.

The first customer holds for ever: a later merge into somebody else is refused. Refused merges stand in the document with their reason:
`merged_already`, `cycle` (the other one became this customer before, or both became each other at once), `no_customer`, `known_customer`
(an event of somebody who can't be taken at his word, a browser's, may give away visitors only, nobody who is a customer already).
"""

from typing import Any
from uuid import uuid5

import msgspec

from services.contracts.decisions import Reason, Verdict
from services.contracts.events import Event
from services.contracts.ids import NAMESPACE, CustomerId, EventId
from services.contracts.merges import encode_via
from services.rules.core.carrying import fit_document
from services.rules.core.document import SCHEMA_VERSION, CustomerDocument, encode_document
from services.rules.core.effects import Forward
from services.rules.core.forwarding import CYCLE, note_refusal
from services.rules.core.turn import Turn

MERGED = "povod.merged"
SOURCE = "povod"
_LONGEST_NAME = 255


def apply_merge(turn: Turn, event: Event) -> None:
    """Mark this customer as another one and send there what is known of them; into themselves, or once more, is no change."""
    into, document = event.data.get("into"), turn.document
    if into in (document.customer, document.merged_into) and into:
        return
    reason = "known_customer" if event.unproved is True and _is_known(document) else _refusal(document, into)
    if reason is None:
        _become(turn, event, CustomerId(str(into)))
        return
    document.schema_version = SCHEMA_VERSION
    document.refused_merges = note_refusal(document, str(into), event, reason)


def note_visitor(turn: Turn, event: Event) -> None:
    """Keep whether this customer was ever named as one, or has been a visitor from the first event on."""
    document = turn.document
    if document.visitor:
        document.visitor = event.anonymousid == document.customer
    elif document.seq == 0 and event.anonymousid == document.customer:
        document.visitor, document.schema_version = True, SCHEMA_VERSION


def _is_known(document: CustomerDocument) -> bool:
    return document.seq > 0 and not document.visitor


def _refusal(document: CustomerDocument, into: Any) -> str | None:
    if not isinstance(into, str) or not 0 < len(into) <= _LONGEST_NAME or "\x00" in into:
        return "no_customer"
    if document.merged_into:
        return "merged_already"
    return CYCLE if into in document.merged_from else None


def _become(turn: Turn, event: Event, into: CustomerId) -> None:
    document = turn.document
    carried, left_out = fit_document(_content_of(document))
    for enrolment in document.enrolments.values():
        if enrolment.id not in carried.enrolments:
            detail = {"gates": [{"gate": "merge", "answer": "refuse", "reason": Reason.LOOP_LIMIT.value, "into": into}]}
            turn.record(enrolment.journey, enrolment.key, enrolment.step, Verdict.SKIPPED, Reason.LOOP_LIMIT, detail)
    data = {"from": document.customer, "merge": event.id, "document": msgspec.json.decode(encode_document(carried))}
    turn.effects.append(Forward(_merged(event, into, {**data, "left_out": left_out} if left_out else data)))
    turn.document = _mark(document, into)


def _content_of(document: CustomerDocument) -> CustomerDocument:
    """Return what goes to the other customer: all but the timers that are found anew there, and refusals, which are this customer's."""
    return msgspec.structs.replace(
        document, schema_version=SCHEMA_VERSION, seq=0, stage_due_at=None, silence_due_at=None, silence_rules="", refused_merges=()
    )


def _mark(document: CustomerDocument, into: CustomerId) -> CustomerDocument:
    """Return the document of a customer who is another one: what was decided stays known, so that a repeat counts nowhere."""
    return CustomerDocument(
        customer=document.customer,
        schema_version=SCHEMA_VERSION,
        seq=document.seq,
        recent=document.recent,
        recent_lost_at=document.recent_lost_at,
        merged_into=into,
        refused_merges=document.refused_merges,
    )


def _merged(merge: Event, into: CustomerId, data: dict[str, Any]) -> Event:
    """Return the one event that carries the content; the same for the same merge, whoever decides it and however often."""
    name = uuid5(NAMESPACE, f"merged\x1f{merge.subject}\x1f{into}\x1f{merge.source}\x1f{merge.id}")
    return Event(
        id=EventId(f"merged:{name}"),
        type=MERGED,
        source=SOURCE,
        subject=into,
        time=merge.time,
        receivedtime=merge.receivedtime,
        data=data,
        traceparent=merge.traceparent,
        via=encode_via((merge.subject,)),
    )
