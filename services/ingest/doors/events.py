"""Our own door, `POST /v1/events`: one event, an array, or `{"batch": [...]}`, in the shape of `services.contracts.incoming`."""

import msgspec

from services.contracts.incoming import read_items
from services.ingest.doors.port import JSON, Answer, Door, KeyPlace, Parcel, Posted
from services.ingest.judge import Judged, Result
from services.ingest.refusals import RequestRefused

_encoder = msgspec.json.Encoder()


class EventsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a 200: what became of each event, in the order of the request."""

    success: bool = True
    accepted: int
    duplicates: int
    rejected: int
    results: list[Result]


class EventsDoor(Door):
    """Povod's own shape."""

    name = "events"
    key_place: KeyPlace = "head"

    def read(self, posted: Posted) -> Parcel:
        """Return what was posted; raises `InvalidEvent` (`invalid_json`, `too_deep`) and `RequestRefused` (`empty_batch`)."""
        items = read_items(posted.body)
        if not items:
            raise RequestRefused("empty_batch", "there is no event in this request")
        return Parcel(items)

    def accept(self, posted: Posted, judged: Judged) -> Answer:  # noqa: ARG002 - the port's
        """Answer with what became of each event."""
        accepted, duplicates, rejected = judged.counts
        answer = EventsAnswer(accepted=accepted, duplicates=duplicates, rejected=rejected, results=judged.results)
        return Answer(200, JSON, _encoder.encode(answer))
