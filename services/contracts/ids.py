"""Identifiers as distinct types, and how the deterministic ones are made."""

from hashlib import sha1
from typing import NewType
from uuid import UUID

CustomerId = NewType("CustomerId", str)
"""The shop's own name for a customer; the key of every topic. 1 to 255 characters."""
EventId = NewType("EventId", str)
"""The source's id of an event; with the source it is the deduplication key."""
MessageId = NewType("MessageId", str)
"""A message's deterministic id (UUIDv5, RFC 9562), the same whenever the same decision is taken again."""
EnrolmentId = NewType("EnrolmentId", str)
"""One customer in one journey for one key and trigger (UUIDv5)."""
JourneyName = NewType("JourneyName", str)
StepId = NewType("StepId", str)
"""A step's path in its journey, e.g. `steps/2/then/0`."""
TemplateName = NewType("TemplateName", str)
ContentHash = NewType("ContentHash", str)
"""SHA-256 of canonical content, in hex: the version of a rule set, a journey or a template."""
Channel = NewType("Channel", str)
"""`email`, `sms`, `telegram`, ... (lower_snake)."""

NAMESPACE = UUID("6f1f6a52-5a0c-5b8e-9c0e-2f0a5e6f7d01")
"""The namespace of all ids that Povod derives. Never change it: ids of stored messages hang on it."""


_NAMED = sha1(NAMESPACE.bytes, usedforsecurity=False)
"""Copied for each name: OpenSSL takes long to find an algorithm by its name."""
_VARIANT = {digit: f"{int(digit, 16) & 0x3 | 0x8:x}" for digit in "0123456789abcdef"}


def _uuid5(name: str) -> str:
    """Return what `str(uuid.uuid5(NAMESPACE, name))` returns, in a quarter of its time: every decision makes two (RFC 9562, 5.5)."""
    named = _NAMED.copy()
    named.update(name.encode())
    text = named.hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


def enrolment_id(journey: JourneyName, customer: CustomerId, key: str, trigger: EventId) -> EnrolmentId:
    """Name one enrolment: the same trigger event can never open two."""
    return EnrolmentId(_uuid5(f"enrolment\x1f{journey}\x1f{customer}\x1f{key}\x1f{trigger}"))


def message_id(enrolment: EnrolmentId, step: StepId, visit: int, channel: Channel) -> MessageId:
    """Name one message: deciding the same step of the same visit again gives the same id."""
    return MessageId(_uuid5(f"message\x1f{enrolment}\x1f{step}\x1f{visit}\x1f{channel}"))
