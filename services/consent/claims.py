"""What the links in messages say, each kind for one purpose: whoever follows one is known by it, and by nothing else.

The fields are written in this order into links that are out for years: add new ones at the end, with a default, and never reorder them.
"""

from datetime import datetime, timedelta

import msgspec

from services.consent.ledger import ALL_TOPICS
from services.contracts.ids import Channel, CustomerId, MessageId


class UnsubscribeClaim(msgspec.Struct, frozen=True, array_like=True):
    """This customer, through the link in this message, wants no more of this channel (and topic)."""

    customer: CustomerId
    channel: Channel
    message_id: MessageId | None = None
    topic: str = ALL_TOPICS


class ClickClaim(msgspec.Struct, frozen=True, array_like=True):
    """A link of a message: its number (from 1) and where it leads. `rendered_at` is when dispatch wrote it, aware UTC."""

    customer: CustomerId
    channel: Channel
    message_id: MessageId
    number: int
    target: str
    rendered_at: datetime


class OpenClaim(msgspec.Struct, frozen=True, array_like=True):
    """The invisible picture of a message. `rendered_at` is when dispatch wrote it, aware UTC."""

    customer: CustomerId
    channel: Channel
    message_id: MessageId
    rendered_at: datetime


class PreferencesClaim(msgspec.Struct, frozen=True, array_like=True):
    """This customer may see and change what he gets from us; he came by this channel, in a message of this language."""

    customer: CustomerId
    channel: Channel
    message_id: MessageId | None = None
    language: str = ""


class SurveyClaim(msgspec.Struct, frozen=True, array_like=True):
    """This customer is asked this question by this message."""

    customer: CustomerId
    channel: Channel
    message_id: MessageId
    question: str
    language: str = ""


class ConfirmationClaim(msgspec.Struct, frozen=True, array_like=True):
    """Whoever reads what is sent to this address may say that this customer wants messages there (double opt-in).

    `asked_at` is when the message that asks was decided, aware UTC: an agreement is not asked for for ever. None in links older than that.
    """

    customer: CustomerId
    channel: Channel
    address: str
    message_id: MessageId | None = None
    language: str = ""
    asked_at: datetime | None = None

    def is_expired(self, now: datetime, valid_for: timedelta) -> bool:
        """Say whether the question is older than `valid_for`."""
        return self.asked_at is not None and now - self.asked_at > valid_for


Claim = UnsubscribeClaim | ClickClaim | OpenClaim | PreferencesClaim | SurveyClaim | ConfirmationClaim
