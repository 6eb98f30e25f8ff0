"""What `decide` wants done: values that the shell executes in the transaction that stores the document."""

from datetime import datetime
from typing import Literal

import msgspec

from services.contracts.decisions import Decision
from services.contracts.events import Event
from services.contracts.ids import Channel, CustomerId
from services.contracts.messages import Message, Recall


class Publish(msgspec.Struct, frozen=True, gc=False):
    """Put a command into the outbox."""

    command: Message | Recall


class Record(msgspec.Struct, frozen=True, gc=False):
    """Write a row of the decision ledger."""

    decision: Decision


class GrantConsent(msgspec.Struct, frozen=True, gc=False):
    """Write a consent that an event stated into the consent ledger, unless a newer entry is there."""

    customer: CustomerId
    channel: Channel
    state: Literal["subscribed", "unsubscribed"]
    at: datetime
    source: str
    evidence: str


class Forward(msgspec.Struct, frozen=True, gc=False):
    """Put an event for another customer into the outbox: one who became them, or what such a one has left behind."""

    event: Event


Effect = Publish | Record | GrantConsent | Forward


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The result of one decision.

    `effects` in the order in which they were decided. `enrolled` and `exited` name the journey of each enrolment that opened, or that
    left before its last step (an exit event, an `exit` step, a lost version). `duplicate`: the event was decided before, the document
    is the same object and nothing need be stored. `passed_on`: the customer is another one now, who decides the event; the document is
    the same object too, and the one effect is a `Forward`.
    """

    effects: tuple[Effect, ...]
    enrolled: tuple[str, ...] = ()
    exited: tuple[str, ...] = ()
    duplicate: bool = False
    passed_on: bool = False
