"""The event: an immutable fact about a customer, as CloudEvents 1.0 in JSON (structured mode)."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from services.contracts.ids import CustomerId, EventId

RESERVED_PREFIXES = ("message.", "povod.")
"""Types that only Povod's own services may publish: a forged `message.failed` would free a frequency cap's slot."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False, gc=False):
    """One event on the `povod.events` topic; the fields are CloudEvents attributes and extensions.

    `subject` is the customer. `time` is when it happened (skew-corrected), `receivedtime` when ingest took it; both aware UTC.
    `historical` events update what is known of the customer and trigger nothing. `traceparent` follows W3C Trace Context.
    Absent unless they say something: `anonymousid`, the visitor's id beside the customer's, or the subject's own where nobody has said who
    the visitor is; `unproved`, on what makes a visitor a customer: whoever posted it can't be taken at his word; `originaltime`, the
    client's own time where `time` is another; `bot`, sent by a program, no sign of the customer's life; `via`, the customers whom the
    event has passed before `subject` since they became one with him (percent-encoded, with commas between).
    See https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
    """

    id: EventId
    type: str
    source: str
    subject: CustomerId
    time: datetime
    receivedtime: datetime
    data: dict[str, Any] = {}
    historical: bool = False
    traceparent: str | None = None
    anonymousid: str | UnsetType = UNSET
    unproved: bool | UnsetType = UNSET
    originaltime: datetime | UnsetType = UNSET
    bot: bool | UnsetType = UNSET
    via: str | UnsetType = UNSET
    specversion: Literal["1.0"] = "1.0"
    datacontenttype: Literal["application/json"] = "application/json"
