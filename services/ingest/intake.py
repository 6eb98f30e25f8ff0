"""What happens to a request between its door's reading and the door's answer, alike for all doors.

    who -> may they now -> the door reads -> judged -> appended -> counted -> the door answers

200 is answered only after the log has acknowledged every accepted event; where it does not, 503, and the client sends the same again.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from time import monotonic

import msgspec
import structlog

from services.contracts.errors import Fatal, PovodError, Rejected
from services.contracts.normalise import Reception, valid_traceparent
from services.contracts.topics import EVENTS
from services.ingest.admission import InFlight, RateLimit
from services.ingest.answers import refusal
from services.ingest.bots import is_bot
from services.ingest.cors import answer_headers, check_origin, preflight_headers
from services.ingest.credentials import NO_KEY, secret_of
from services.ingest.dead_letters import bury
from services.ingest.doors.cloudevents import handshake
from services.ingest.doors.port import Answer, Door, Parcel, Posted
from services.ingest.identity import is_signed
from services.ingest.judge import Judge, Judged
from services.ingest.keys import WriteKey
from services.ingest.parts import IngestParts
from services.ingest.recent import Recent
from services.ingest.refusals import RequestRefused, refusal_of
from services.ingest.tally import Tally
from services.ingest.uuid7 import new_uuid7
from services.runtime.telemetry.metrics import INGEST_IN_FLIGHT

KEY_PARAMETER = "writeKey"
"""The query's parameter that names a key, for clients that can't send a header (`navigator.sendBeacon`)."""
_NO_KEY_INSIDE = "there is no write key in this request; it goes where your library has its own key (writeKey, api_key, api_secret)"
MAX_EXPANSION = 8
"""Times the largest body that a request's events may have on the log: what it says once of all of them stands in each."""
_log = structlog.get_logger()


class Taken(msgspec.Struct, frozen=True, gc=False):
    """A request that was judged: whose it is, what is to be stored of it, and by how many bytes that is more than its body."""

    posted: Posted
    key: WriteKey
    judged: Judged
    grown: int = 0

    @property
    def size(self) -> int:
        """Return the bytes of the body or, where that is more, of what is stored of it: what a batch says once stands in each event."""
        return len(self.posted.body) + max(self.grown, 0)


class Intake:
    """Takes requests in. One for a process.

    `in_flight` counts the bytes of requests that are not answered yet, `recent` keeps what arrived of late for who wants to look.
    """

    def __init__(self, parts: IngestParts) -> None:
        self._parts = parts
        self._judge = Judge(parts.catalogue, parts.settings.max_event)
        self._rate = RateLimit(parts.settings.rate)
        self.in_flight = InFlight(parts.settings.max_in_flight)
        self.recent = Recent()
        self._tally = Tally(parts.metrics)
        self._region = parts.settings.phone_region
        self._max_batch = parts.settings.max_batch
        self._max_events = MAX_EXPANSION * parts.settings.max_body

    def key_of(self, door: Door, headers: Mapping[bytes, bytes], query: Mapping[str, str]) -> WriteKey | None:
        """Return whose request this is, before its body is read; None where only the body may say.

        Raises `RequestRefused`: 401 for a key that is missing or not known, 429 for one that posts too much.
        """
        authorization = headers.get(b"authorization")
        if door.key_place == "body" or (door.key_place == "either" and authorization is None):
            return None
        secret = query.get(KEY_PARAMETER, "") if authorization is None else secret_of(authorization)
        return self._admitted(secret)

    def take(self, door: Door, posted: Posted, key: WriteKey | None) -> Taken:
        """Read and judge a request; raises `PovodError` where it is refused as a whole."""
        parcel = door.read(posted)
        if key is None:
            key = self._admitted(parcel.key or posted.query.get(KEY_PARAMETER, ""), _NO_KEY_INSIDE)
        try:
            return self._judged(parcel, posted, key)
        except RequestRefused as error:
            error.key = key.name
            raise

    def store(self, taken: Taken) -> "asyncio.Future[None]":
        """Return what is done once all accepted events are durable; raises `LogUnavailable`, at once or awaited."""
        judged = taken.judged
        if judged.rejects:
            return asyncio.ensure_future(self._store_both(taken))
        storing = self._parts.log.append(EVENTS, judged.records + judged.merges if judged.merges else judged.records)
        return storing if isinstance(storing, asyncio.Future) else asyncio.ensure_future(storing)

    def answer(self, door: Door, taken: Taken) -> Answer:
        """Count a stored request and have its door word the answer, for web pages too."""
        self._tally.count(taken.key.name, door.name, taken.judged)
        self.recent.note(taken.key.name, door.name, taken.posted, taken.judged, taken.size)
        return self._for_pages(door.accept(taken.posted, taken.judged), taken.posted, taken.key)

    def refusal(self, door: Door, posted: Posted, key: WriteKey | None, error: BaseException) -> tuple[RequestRefused, Answer]:
        """Return why a request is refused and its door's words for it; `key` as far as it is known.

        The reason comes without its traceback: whoever keeps it would keep the request too, and in a circle with the frame that does.
        """
        why = refused(error).with_traceback(None)
        name = why.key if key is None else key.name
        self._tally.count_refused(name, door.name, why.code)
        self.recent.note_refused(name, door.name, posted.received_at, why)
        return why, self._for_pages(door.refuse(posted, why) or refusal(why), posted, key)

    def preflight(self, headers: Mapping[bytes, bytes]) -> Answer:
        """Return the answer to a browser that asks what it may send, or to a webhook's handshake."""
        if agreed := handshake(headers, self._parts.settings.rate * 60):
            return Answer(200, b"text/plain", b"", agreed)
        return Answer(204, b"text/plain", b"", preflight_headers(headers, self._parts.keys.allows_origin))

    def note_end(self, status: int, seconds: float) -> None:
        """Note that a request was answered."""
        self._tally.note_end(status, seconds)

    def report(self) -> None:
        """Bring the gauges up to date; called before they are read, since a request has no time for it."""
        self._parts.metrics.set(INGEST_IN_FLIGHT, self.in_flight.held)

    def _for_pages(self, answer: Answer, posted: Posted, key: WriteKey | None) -> Answer:
        if (origin := posted.headers.get(b"origin")) is None:
            return answer
        return answer._replace(headers=(*answer.headers, *answer_headers(origin, key, self._parts.keys.allows_origin)))

    def _admitted(self, secret: str, where: str = NO_KEY) -> WriteKey:
        if not secret:
            raise RequestRefused("unauthorized", where)
        key = self._parts.keys.find(secret)
        try:
            self._rate.admit(key.name, monotonic(), key.rate)
        except RequestRefused as error:
            error.key = key.name
            raise
        return key

    def _judged(self, parcel: Parcel, posted: Posted, key: WriteKey) -> Taken:
        if key.origins:
            check_origin(key, posted.headers.get(b"origin"))
        self._check(parcel)
        self._rate.charge(key.name, len(parcel.items), monotonic(), key.rate)
        judged = self._judge.judge(parcel.items, self._reception(key, posted), self._max_events)
        return Taken(posted, key, judged, sum([len(record.value) for record in judged.records]) - len(posted.body))

    def _check(self, parcel: Parcel) -> None:
        if len(parcel.items) > self._max_batch:
            raise RequestRefused("batch_too_large", f"a request has at most {self._max_batch} events, not {len(parcel.items)}")

    def _reception(self, key: WriteKey, posted: Posted) -> Reception:
        given = posted.headers.get(b"traceparent")
        traceparent = None if given is None else valid_traceparent(given.decode("latin-1"))
        is_sent_by_bot = key.scope == "browser" and is_bot(posted.headers.get(b"user-agent"))
        checks = None if key.identity is None else partial(is_signed, key.identity)
        new_id = partial(new_uuid7, posted.received_at)
        return Reception(key.name, key.trusted, posted.received_at, new_id, traceparent, is_sent_by_bot, checks, self._region)

    async def _store_both(self, taken: Taken) -> None:
        """Append and bury at the same time: a log that does not answer is waited for once."""
        judged, parts = taken.judged, self._parts
        burying = asyncio.create_task(bury(parts.log, parts.metrics, judged.rejects, taken.key.name, taken.posted.received_at))
        try:
            await parts.log.append(EVENTS, judged.records + judged.merges)
        finally:
            await burying


def refused(error: BaseException) -> RequestRefused:
    """Return what a request is told of an error, after logging what a person must look at."""
    if isinstance(error, Fatal):
        _log.error("the event log can't be used", action="ingest.failed", error=str(error))
        return RequestRefused("log_unavailable", "the event log can't be used now; send the same again", retry_after=1)
    if isinstance(error, Rejected) and error.code == "record_too_large":
        return RequestRefused("payload_too_large", "an event is too large for the event log")
    if isinstance(error, PovodError):
        return refusal_of(error)
    _log.error("a request met a mistake of ours", action="ingest.failed", exc_info=error)
    return RequestRefused("internal_error", "something went wrong on our side")
