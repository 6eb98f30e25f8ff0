"""What a door is: it reads a request and words an answer; everything between the two is the intake's, alike for all doors."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

import msgspec

from services.contracts.incoming import Item
from services.ingest.judge import Judged
from services.ingest.refusals import RequestRefused

JSON = b"application/json"


class Posted(NamedTuple):
    """One request: `path` without its query, `query` decoded (the first of equal names), `headers` by lower-case name, `body` unpacked."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[bytes, bytes]
    body: bytes
    received_at: datetime


class Parcel(msgspec.Struct, frozen=True, gc=False):
    """What a request holds: its events in order, and the write key where the body or the query names one (else empty).

    An item is an `Incoming`, or a parsed JSON object with `Incoming`'s fields that still needs cleaning, or an `Unreadable`.
    """

    items: Sequence[Item]
    key: str = ""


class Answer(NamedTuple):
    """An answer's status, type, body and further headers."""

    status: int
    content_type: bytes
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def fields(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return all fields of the answer's head; a 204 says nothing of a body, since it can't have one (RFC 9110, 8.6)."""
        if self.status == 204:
            return self.headers
        return ((b"content-type", self.content_type), (b"content-length", b"%d" % len(self.body)), *self.headers)


KeyPlace = Literal["head", "either", "body"]
"""Where a door's clients put the write key: the head (or the query), the head or the body, or only where `Parcel.key` says."""


class Door(Protocol):
    """One kind of client. `name` labels its metrics. Doors inherit it: most refuse as everywhere."""

    name: str
    key_place: KeyPlace

    def read(self, posted: Posted) -> Parcel:
        """Return the events of a request.

        Raises `InvalidEvent` (`invalid_json`, `too_deep`) or `RequestRefused` where nothing in it can be taken; an event that can't be is
        an `Unreadable`.
        """

    def accept(self, posted: Posted, judged: Judged) -> Answer:
        """Word the answer to a request whose accepted events are durable."""

    def refuse(self, posted: Posted, refused: RequestRefused) -> Answer | None:  # noqa: ARG002 - for those that do
        """Word a refusal of the whole request, None: as everywhere (`refusals.body_of` with its status)."""
        return None
