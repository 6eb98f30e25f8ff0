"""The event: an immutable fact about a customer, as CloudEvents 1.0 in JSON (structured mode)."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from services.contracts.ids import CustomerId, EventId

RESERVED_PREFIXES = ("message.", "povod.")
"""Types that only Povod's own services may publish: a forged `message.failed` would free a frequency cap's slot."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False, gc=False):
    """One event on the `povod.events` topic; the fields are CloudEvents attributes and extensions.

    `subject` is the customer. `time` is when it happened (skew-corrected), `receivedtime` when ingest took it; both aware UTC.
    `historical` events update what is known of the customer and trigger nothing. `traceparent` follows W3C Trace Context.
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
    specversion: Literal["1.0"] = "1.0"
    datacontenttype: Literal["application/json"] = "application/json"
