"""What a channel must do: hand one rendered message to a provider and say, in one of four words, what came of it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal, Protocol

import msgspec

from services.contracts.ids import Channel, MessageId


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """A message ready to go. `parts` are the template's rendered files by name (`subject.txt`, `body.txt`, `body.html`).

    `headers` are extra header fields for channels that have them (List-Unsubscribe). `idempotency_key` is the message id: constant
    over attempts, given to every provider that takes one. `traceparent` (W3C Trace Context) goes along where the protocol has a place
    for it: a header of that name over HTTP, `X-Traceparent` in a mail.
    """

    message_id: MessageId
    recipient: str
    language: str
    parts: Mapping[str, str]
    headers: Mapping[str, str] = {}
    traceparent: str | None = None

    def trace_headers(self) -> dict[str, str]:
        """Return the HTTP header that carries the trace on; none where the message has no trace."""
        return {} if self.traceparent is None else {"traceparent": self.traceparent}


class Accepted(msgspec.Struct, frozen=True):
    """The provider took it over."""

    provider_id: str | None = None


class Retry(msgspec.Struct, frozen=True):
    """Certainly not delivered; may be tried again, not before `after` (None: our own back-off). `scope` says what must pause."""

    reason: str
    after: timedelta | None = None
    scope: Literal["message", "recipient", "channel"] = "message"
    detail: str = ""


class Reject(msgspec.Struct, frozen=True):
    """Certainly not delivered, and never will be. `suppress`: the address must not be used again on this channel."""

    reason: str
    kind: Literal["recipient", "content", "config"]
    suppress: bool = False
    detail: str = ""


class Unknown(msgspec.Struct, frozen=True):
    """It may or may not have been delivered (the connection broke after the last byte, the answer never came)."""

    reason: str
    detail: str = ""


Answer = Accepted | Retry | Reject | Unknown


class Sender(Protocol):
    """One provider on one channel. `send` may be called concurrently up to `concurrency`."""

    @property
    def channel(self) -> Channel:
        """Return the channel's name."""

    @property
    def provider(self) -> str:
        """Return the provider's name, as kill switches know it (`smtp`, `http_sms`, `telegram`)."""

    @property
    def at_most_once(self) -> bool:
        """Say whether a message whose fate is unknown must never be tried again (paid channels); else it is, exactly once."""

    @property
    def concurrency(self) -> int:
        """Return how many sends may be under way at once."""

    @property
    def patience(self) -> timedelta:
        """Return the longest that one `send` can take, in real time: a row that is `sending` for longer belongs to a dead process."""

    async def send(self, message: Rendered) -> Answer:
        """Hand it over. Never raises but for cancellation: every failure is one of the four answers. Ends in bounded time."""

    async def close(self) -> None:
        """Close connections. Harmless twice."""
