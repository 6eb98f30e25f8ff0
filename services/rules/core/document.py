"""All that Povod knows of one customer, as one value; its stored form is JSON with defaults left out.

Every field is bounded; the bound stands beside it. Times are aware UTC. A stored name is for ever: rename nothing here.
Containers are never changed in place: whoever changes one replaces it, so a document that was handed out stays as it was.
"""

from datetime import datetime
from typing import Any

import msgspec

from services.contracts.errors import DocumentTooNew, Rejected
from services.contracts.ids import Channel, ContentHash, CustomerId, EnrolmentId, EventId, JourneyName, MessageId, StepId
from services.contracts.messages import Kind

SCHEMA_VERSION = 2
"""The newest version that this release reads. A document is written with the lowest one that can say what it says: releases that know only
the first would drop the fields of the second (merges, preferences) without a word, so they must refuse those documents."""
FIRST_VERSION = 1
_NO_DATA = msgspec.Raw(b"{}")


class Consent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The last known consent for a channel: `subscribed` or `unsubscribed`, and since when."""

    state: str
    at: datetime


class Suppression(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An address that must not be used again on its channel."""

    address: str
    reason: str


class Slot(msgspec.Struct, frozen=True, array_like=True):
    """One message as frequency caps see it: it is, was or will be handed over somewhere in `[earliest_at, latest_at]`.

    Undecided: from `not_before` to `expires_at`. Once dispatch has reported `message.sent`, both are the time of the hand-over.
    Tags are those of the moment of decision.
    """

    earliest_at: datetime
    latest_at: datetime
    journey: JourneyName
    channel: Channel
    kind: Kind
    tags: tuple[str, ...] = ()


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What re-entry rules need of the last enrolment under one key."""

    entered_at: datetime
    exited_at: datetime | None = None
    sent_at: datetime | None = None


class SeenExit(msgspec.Struct, frozen=True, omit_defaults=True):
    """An exit event that was seen: no enrolment whose trigger is older may open. `data` is kept where `where` asks for the trigger."""

    at: datetime
    rule: int = 0
    data: dict[str, Any] | None = None


class Pending(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message that was decided and of which dispatch has not reported yet: it may be recalled, or fall back to the next channel."""

    id: MessageId
    step: StepId
    channel: Channel
    recipient: str
    reached_at: datetime
    expires_at: datetime


class Deferred(msgspec.Struct, frozen=True, omit_defaults=True):
    """A candidate that waits for quiet hours or a gap to pass; all gates are asked again at `release_at`.

    `channels` are those still to be tried. `fallback` candidates do not hold up the journey's flow.
    """

    step: StepId
    channels: tuple[Channel, ...]
    release_at: datetime
    reached_at: datetime
    expires_at: datetime
    fallback: bool = False


class Enrolment(msgspec.Struct, frozen=True, omit_defaults=True):
    """One passage through a journey, on the version with which it began.

    `step` is where the flow stands (empty: it has ended and is kept only for its `pending` messages), `due_at` when it goes on.
    `trigger` is the enrolling event's data as JSON (at most 16 KB; the biggest values are left out beyond that): most decisions copy it
    from one version of the document to the next, and few look into it, by `trigger_data`.
    """

    id: EnrolmentId
    journey: JourneyName
    version: ContentHash
    entered_at: datetime
    triggered_at: datetime
    trigger_id: EventId
    trigger_type: str = ""
    trigger_source: str = ""
    key: str = ""
    trigger: msgspec.Raw = _NO_DATA
    step: StepId = StepId("")
    due_at: datetime | None = None
    deferred: tuple[Deferred, ...] = ()  # at most one of the flow and one a pending message
    pending: tuple[Pending, ...] = ()  # at most one a send step; dropped at the outcome or at expiry
    traceparent: str | None = None

    def trigger_data(self) -> dict[str, Any]:
        """Return the enrolling event's data; a new value each time."""
        return _data_decoder.decode(self.trigger)


class RefusedMerge(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A merge that was asked for and not done: into whom, when it happened, and why not (see `merging`)."""

    into: str
    at: datetime
    reason: str


class Preference(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How often the customer wants to hear from us, `less` or `normal`, and since when."""

    frequency: str
    at: datetime


class CustomerDocument(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One customer. `seq` counts the inputs decided; duplicates are not counted."""

    customer: CustomerId
    schema_version: int
    seq: int = 0
    stage: str = ""
    stage_since: datetime | None = None
    stage_due_at: datetime | None = None
    """When to look whether inactivity moves the stage; may be early (re-armed lazily)."""
    traits: dict[str, Any] = {}  # at most 200, each at most 4 KB
    addresses: dict[Channel, str] = {}  # at most 32, each at most 320 characters
    consents: dict[Channel, Consent] = {}  # at most 32
    suppressed: dict[Channel, Suppression] = {}  # at most 32
    refused_channels: tuple[Channel, ...] = ()  # at most 32
    """What the page's consent manager last said no to (see `refusals`); a release that forgets it takes the next no for a new one."""
    language: str = ""
    timezone: str = ""
    event_timezone: str = ""
    """The zone that the last event with one stated."""
    event_language: str = ""
    """The locale that the last event with one stated; spoken to who has not said a language."""
    first_seen_at: datetime | None = None
    last_activity_at: datetime | None = None
    """The latest event time of an event that counts as activity."""
    last_seen: dict[str, datetime] = {}  # latest event time by type; the newest 256 types
    enrolments: dict[EnrolmentId, Enrolment] = {}  # at most 200 open ones, and 200 ended ones with messages on their way
    entries: dict[JourneyName, dict[str, Entry]] = {}  # by journey and key: the newest 1,000 keys of at most 200 journeys
    exits: dict[JourneyName, tuple[SeenExit, ...]] = {}  # the newest 10 of at most 200 journeys, up to the journey's `max_lateness`
    silence_due_at: datetime | None = None
    """When to look whose silence is complete; one timer for all journeys, may be early (re-armed lazily)."""
    silence_rules: str = ""
    """The `Ruleset.silence_rules` for which that timer was armed."""
    slots: dict[MessageId, Slot] = {}  # up to the longest cap window (at least 30 days), the newest 1,000
    recent: bytes = b""  # ids of the events of the last 48 hours, the newest 1,000; see `recent`
    recent_lost_at: datetime | None = None
    """When the newest id was received that had to be forgotten before its 48 hours were over."""
    visitor: bool = False
    """Only ever known by an anonymous id: nobody has named a customer by it."""
    merged_into: CustomerId = CustomerId("")
    """The forwarding mark: this customer is another one, whose document gets every later input. With it, only `recent` is kept."""
    merged_from: tuple[CustomerId, ...] = ()  # who became this customer; the newest 50
    refused_merges: tuple[RefusedMerge, ...] = ()  # the newest 10
    preference: Preference | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(CustomerDocument)
_data_decoder = msgspec.json.Decoder(dict[str, Any])


class _Version(msgspec.Struct):
    schema_version: int


_version_decoder = msgspec.json.Decoder(_Version)


def new_document(customer: CustomerId) -> CustomerDocument:
    """Return the document of a customer of whom nothing is known."""
    return CustomerDocument(customer=customer, schema_version=FIRST_VERSION)


def encode_document(document: CustomerDocument) -> bytes:
    """Return the stored form: UTF-8 JSON, the same bytes for the same document."""
    return _encoder.encode(document)


def decode_document(value: bytes | str) -> CustomerDocument:
    """Read a stored document.

    Raises `DocumentTooNew` where a later release wrote it and `Rejected` where it is no document at all.
    """
    try:
        document = _decoder.decode(value)
    except (msgspec.DecodeError, RecursionError) as error:
        _refuse_newer(value)
        raise Rejected(f"a stored document can not be read: {error}", code="undecodable_document") from error
    if document.schema_version > SCHEMA_VERSION:
        _refuse_newer(value)
    return document


def _refuse_newer(value: bytes | str) -> None:
    try:
        version = _version_decoder.decode(value).schema_version
    except msgspec.DecodeError:
        return
    if version > SCHEMA_VERSION:
        raise DocumentTooNew(f"a document has schema version {version}, this release knows {SCHEMA_VERSION}: upgrade before going on")


def next_due_at(document: CustomerDocument) -> datetime | None:
    """Return when the earliest timer is due, `None` without timers. May be in the past: timers fire late, never lost."""
    times = [document.silence_due_at, document.stage_due_at]
    for enrolment in document.enrolments.values():
        times.append(enrolment.due_at)
        if enrolment.deferred:
            times.extend([deferred.release_at for deferred in enrolment.deferred])
    return min(filter(None, times), default=None)
