"""Commands of the dispatch topic: send a message, recall one."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from services.contracts.ids import Channel, ContentHash, CustomerId, EnrolmentId, JourneyName, MessageId, StepId, TemplateName


class Kind(StrEnum):
    """What a message is for; consent, caps and the content mix depend on it."""

    SERVICE = "service"
    """About something the customer did or owns; no marketing consent needed on e-mail."""
    REGULAR = "regular"
    """Useful content."""
    INCENTIVE = "incentive"
    """An offer."""


class Window(msgspec.Struct, frozen=True, array_like=True):
    """A half-open interval of UTC in which a message may be handed over: `starts_at <= t < ends_at`."""

    starts_at: datetime
    ends_at: datetime


class Message(msgspec.Struct, frozen=True, kw_only=True, tag="message.send", tag_field="command"):
    """Send one message to one recipient over one channel.

    `recipient` is the channel's own address (e-mail address, E.164 phone, Telegram chat id). `context` holds the values that the
    template may use, frozen when it was decided. `windows` are the intervals of UTC in which any attempt may be made (quiet hours
    are already taken out), at least one, in order, all inside `[not_before, expires_at)`. `decided_at` is the deciding `now`.
    """

    message_id: MessageId
    customer: CustomerId
    channel: Channel
    recipient: str
    template: TemplateName
    template_version: ContentHash | None
    language: str
    kind: Kind
    decided_at: datetime
    not_before: datetime
    expires_at: datetime
    windows: tuple[Window, ...]
    ruleset: ContentHash
    journey: JourneyName
    step: StepId
    enrolment: EnrolmentId
    tags: tuple[str, ...] = ()
    priority: int = 0
    context: dict[str, Any] = {}
    traceparent: str | None = None


class Recall(msgspec.Struct, frozen=True, kw_only=True, tag="message.recall", tag_field="command"):
    """Take a message back: no attempt begins after it. One that is under way goes on, and none follows it.

    A recall that arrives before its message leaves a tombstone.
    """

    message_id: MessageId
    customer: CustomerId
    reason: str
    recalled_at: datetime
    traceparent: str | None = None


Command = Message | Recall
