"""PostHog's capture API, for sites whose PostHog library points here: `/batch/`, `/e/`, `/capture/` and, newer, `/i/v1/analytics/events`.

    {"api_key": "...", "batch": [{"event", "distinct_id", "properties", "timestamp", "uuid"}], "sent_at": "..."}

The older paths take one event or a bare array too, and the form `data=BASE64` that posthog-js sends while its page is being left. The
newer one has its key in `Authorization: Bearer` and wants a result for each event. What an event becomes: `posthog_events`.
"""

import base64
import binascii
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from services.contracts.aliases import Aliases, load_aliases
from services.contracts.errors import InvalidEvent
from services.contracts.incoming import Item, read_json
from services.ingest.answers import refusal
from services.ingest.doors.fields import object_of, text_of
from services.ingest.doors.port import JSON, Answer, Door, KeyPlace, Parcel, Posted
from services.ingest.doors.posthog_events import PERSON, Envelope, items_of
from services.ingest.judge import Judged, Result
from services.ingest.refusals import RequestRefused

LEGACY_PATHS = ("/batch", "/capture", "/e", "/i/v0/e", "/track")
_BROWSER_PATHS = frozenset({"/e", "/i/v0/e"})
V1_PATH = "/i/v1/analytics/events"
_FORM = b"data="
_encoder = msgspec.json.Encoder()


class LegacyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a 200: `status` is PostHog's own word; `results` has the events of which there is something to say."""

    status: int = 1
    success: bool = True
    accepted: int
    duplicates: int
    rejected: int
    results: list[Result]


class EventVerdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one event, in PostHog's words: `ok`, `warning` (taken, with a remark) or `drop` (rejected). Never `retry`."""

    result: str
    details: str | None = None


class V1Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a 200 of the newer path: the events by their uuid."""

    success: bool = True
    results: dict[str, EventVerdict]


class PostHogDoor(Door):
    """The paths of all of PostHog's libraries; the key is in the body."""

    name = "posthog"
    key_place: KeyPlace = "either"

    def read(self, posted: Posted) -> Parcel:
        """Return the events; raises `InvalidEvent`: `invalid_json`, `too_deep`, `empty_batch`."""
        raw = json_of(posted)
        if not isinstance(raw, (dict, list)):
            raise InvalidEvent("post an event, or an object with a batch of them", code="invalid_json", pointer="")
        head = object_of(raw)
        events = _events(raw)
        sent_at = head.get("sent_at") or _sent_at(posted.query.get("_", ""))
        envelope = Envelope(sent_at, head.get("historical_migration"))
        return Parcel(_items(events, envelope), key_of(head, object_of(events[0])))

    def accept(self, posted: Posted, judged: Judged) -> Answer:  # noqa: ARG002 - the port's
        """Answer 200, which is all that the libraries look at."""
        accepted, duplicates, rejected = judged.counts
        told = [result for result in judged.results if _remark(result)]
        answer = LegacyAnswer(accepted=accepted, duplicates=duplicates, rejected=rejected, results=told)
        return Answer(200, JSON, _encoder.encode(answer))

    def refuse(self, posted: Posted, refused: RequestRefused) -> Answer | None:
        """Refuse as everywhere, but for a rate that is exceeded on posthog-js's path: it drops a 429 for good, and repeats a 503 later."""
        if refused.code == "rate_limited" and posted.path.rstrip("/") in _BROWSER_PATHS:
            return refusal(refused)._replace(status=503)
        return None


class PostHogV1Door(Door):
    """The path with a result for each event; the key is in `Authorization`."""

    name = "posthog_v1"
    key_place: KeyPlace = "head"

    def read(self, posted: Posted) -> Parcel:
        """Return the events; raises `InvalidEvent`: `invalid_json`, `too_deep`, `empty_batch`."""
        head = read_json(posted.body)
        if not isinstance(head, dict) or not isinstance(head.get("batch"), list):
            raise InvalidEvent("post an object with a batch of events", code="invalid_json", pointer="/batch")
        sent_at = posted.headers.get(b"posthog-request-timestamp", b"").decode("latin-1")
        library = posted.headers.get(b"posthog-sdk-info", b"").decode("latin-1")
        return Parcel(_items(_events(head), Envelope(sent_at, head.get("historical_migration"), library)))

    def accept(self, posted: Posted, judged: Judged) -> Answer:  # noqa: ARG002 - the port's
        """Answer 200 with a verdict for each event that has a uuid."""
        verdicts: dict[str, EventVerdict] = {}
        for result in judged.results:
            if result.id is not None:
                _note(verdicts, result.id, result)
        return Answer(200, JSON, _encoder.encode(V1Answer(results=verdicts)))


def _aliases() -> Aliases:
    return load_aliases("posthog", "segment", "b2b")


def _items(events: list[Any], envelope: Envelope) -> list[Item]:
    aliases = _aliases()
    return [item for event in events for item in items_of(event, envelope, aliases)]


def _events(raw: dict[str, Any] | list[Any]) -> list[Any]:
    batch = raw.get("batch") if isinstance(raw, dict) else raw
    events = batch if isinstance(batch, list) else [raw]
    if not events:
        raise InvalidEvent("there is no event in this request", code="empty_batch", pointer="/batch")
    return events


def key_of(head: dict[str, Any], first: dict[str, Any]) -> str:
    """Return the key: of the request, else of its first event, which older libraries call a token."""
    places = (head, first, object_of(first.get("properties")))
    return next((key for place in places for name in ("api_key", "token") if (key := text_of(place.get(name)))), "")


def _sent_at(milliseconds: str) -> int | None:
    """Return when the request was sent, as the query of older posthog-js says: `?_=1795346038470`."""
    return int(milliseconds) if len(milliseconds) <= 15 and milliseconds.isascii() and milliseconds.isdigit() else None


def json_of(posted: Posted) -> Any:
    """Return a body's JSON; raises `InvalidEvent` (`invalid_json`, `too_deep`)."""
    return read_json(_unpacked(posted))


def _unpacked(posted: Posted) -> bytes:
    """Return the JSON of a body, which may be a form with one field of base64."""
    if not posted.body.startswith(_FORM):
        return posted.body
    if posted.query.get("compression") == "lz64":
        raise InvalidEvent("compression=lz64 is not read here: use a posthog-js of this decade", code="invalid_json", pointer="")
    value = unquote_to_bytes(posted.body[len(_FORM) :].partition(b"&")[0].replace(b"+", b" ")).strip()
    if value[:1] in (b"{", b"["):
        return value
    try:
        return base64.b64decode(value.replace(b" ", b"+") + b"=" * (-len(value) % 4))
    except binascii.Error as error:
        raise InvalidEvent(f"the form's data is no base64: {error}", code="invalid_json", pointer="") from error


def _note(verdicts: dict[str, EventVerdict], event_id: str, result: Result) -> None:
    """Put a result down under the uuid it belongs to; one about the person is no more than a remark on the event."""
    remark = _remark(result)
    uuid = event_id.removesuffix(PERSON)
    if result.status == "rejected" and uuid == event_id:
        verdicts[uuid] = EventVerdict(result="drop", details=remark)
    elif remark:
        verdicts[uuid] = EventVerdict(result="warning", details=remark)
    else:
        verdicts.setdefault(uuid, EventVerdict(result="ok"))


def _remark(result: Result) -> str | None:
    """Return what a developer should know of an event, None where all is well."""
    if result.status == "rejected":
        return f"{result.code}: {result.message}"
    remarks = [*result.warnings]
    if result.clamped:
        remarks.append("its time was moved to the nearest allowed")
    if result.generated:
        remarks.append("it had no uuid: a repeat of it would count again")
    return "; ".join(remarks) or None
