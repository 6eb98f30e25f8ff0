"""The events door, `POST /v1/events`: a plain ASGI application, since everything between the socket and the log counts here.

    who -> may they now -> body -> items -> judged -> appended -> answered

200 is answered only after the log has acknowledged every accepted event; where it does not, 503, and the client sends the same again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from time import monotonic

import msgspec
import structlog

from services.contracts.errors import Fatal, PovodError, Rejected
from services.contracts.incoming import Item, read_items
from services.contracts.normalise import Reception, valid_traceparent
from services.ingest.admission import InFlight, RateLimit
from services.ingest.answers import Scope, Send, send_json, send_refusal
from services.ingest.body import Body, ClientGoneError, Receive
from services.ingest.credentials import secret_of
from services.ingest.dead_letters import bury
from services.ingest.judge import Judge, Judged, Result
from services.ingest.keys import WriteKey
from services.ingest.parts import IngestParts
from services.ingest.refusals import RequestRefused, refusal_of, status_of
from services.ingest.uuid7 import new_uuid7
from services.runtime.telemetry.metrics import INGEST_EVENTS, INGEST_IN_FLIGHT, INGEST_SECONDS

TOPIC = "povod.events"
BODY_DEADLINE = timedelta(seconds=10)
"""Time in which a body must be whole, from its head on."""
PATHS = frozenset({"/v1/events", "/v1/events/"})
_VERDICTS = ("accepted", "duplicate_in_request", "rejected")
_encoder = msgspec.json.Encoder()
_log = structlog.get_logger()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a 200: what became of each event, in the order of the request."""

    success: bool = True
    accepted: int
    duplicates: int
    rejected: int
    results: list[Result]


class EventsDoor:
    """The door; `PATHS` lead to it. One for a process."""

    def __init__(self, parts: IngestParts, body_deadline: timedelta) -> None:
        self._parts = parts
        self._judge = Judge(parts.catalogue, parts.settings.max_event)
        self._rate = RateLimit(parts.settings.rate)
        self._in_flight = InFlight(parts.settings.max_in_flight)
        self._body_deadline = body_deadline

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request; answers whatever happens, unless the client is gone."""
        began = monotonic()
        body = Body(self._parts.settings.max_body, self._in_flight)
        status = 200
        try:
            await send_json(scope, send, await self._take(dict(scope["headers"]), receive, body))
        except ClientGoneError:
            status = 499
        except PovodError as error:
            refused = _refusal(error)
            status = status_of(refused)
            await send_refusal(receive, send, refused)
        except Exception:  # noqa: BLE001 - the last resort: a mistake of ours is logged and answered, never swallowed
            status = 500
            _log.exception("a request met a mistake of ours", action="ingest.failed")
            await send_refusal(receive, send, RequestRefused("internal_error", "something went wrong on our side"))
        finally:
            body.release()
            self._parts.metrics.observe(INGEST_SECONDS, monotonic() - began, status=str(status))

    async def _take(self, headers: Mapping[bytes, bytes], receive: Receive, body: Body) -> bytes:
        key = self._parts.keys.find(secret_of(headers.get(b"authorization")))
        self._rate.admit(key.name, monotonic())
        judged = self._judged(await body.read(receive, headers, self._body_deadline), key, headers)
        answer = _encoder.encode(_answer(judged))
        if judged.rejects:
            await self._store_both(judged, key)
        else:
            await self._parts.log.append(TOPIC, judged.records + judged.merges)
        self._count(judged, key)
        return answer

    async def _store_both(self, judged: Judged, key: WriteKey) -> None:
        """Append and bury at the same time: a log that does not answer is waited for once."""
        burying = asyncio.create_task(bury(self._parts.log, self._parts.metrics, judged.rejects, key.name, self._parts.clock.now()))
        try:
            await self._parts.log.append(TOPIC, judged.records + judged.merges)
        finally:
            await burying

    def _judged(self, body: bytes, key: WriteKey, headers: Mapping[bytes, bytes]) -> Judged:
        """Judge what a body holds; its events are let go of here, not while the log is waited for."""
        items = self._items(body)
        self._rate.charge(key.name, len(items), monotonic())
        return self._judge.judge(items, self._reception(key, headers))

    def _items(self, body: bytes) -> Sequence[Item]:
        items = read_items(body)
        if not items:
            raise RequestRefused("empty_batch", "there is no event in this request")
        if len(items) > self._parts.settings.max_batch:
            raise RequestRefused("batch_too_large", f"a request has at most {self._parts.settings.max_batch} events, not {len(items)}")
        return items

    def _reception(self, key: WriteKey, headers: Mapping[bytes, bytes]) -> Reception:
        received_at = self._parts.clock.now()
        given = headers.get(b"traceparent")
        traceparent = None if given is None else valid_traceparent(given.decode("latin-1"))
        return Reception(key.name, key.trusted, received_at, partial(new_uuid7, received_at), traceparent)

    def _count(self, judged: Judged, key: WriteKey) -> None:
        for verdict, count in zip(_VERDICTS, judged.counts, strict=True):
            if count:
                self._parts.metrics.add(INGEST_EVENTS, count, key=key.name, verdict=verdict)

    def report(self) -> None:
        """Bring the gauges up to date; called before they are read, since a request has no time for it."""
        self._parts.metrics.set(INGEST_IN_FLIGHT, self._in_flight.held)


def _answer(judged: Judged) -> Answer:
    accepted, duplicates, rejected = judged.counts
    return Answer(accepted=accepted, duplicates=duplicates, rejected=rejected, results=judged.results)


def _refusal(error: PovodError) -> RequestRefused:
    """Return the answer; what a person must look at is logged, and looks to the client like a log that is not there."""
    if isinstance(error, Fatal):
        _log.error("the event log can't be used", action="ingest.failed", error=str(error))
        return RequestRefused("log_unavailable", "the event log can't be used now; send the same again", retry_after=1)
    if isinstance(error, Rejected) and error.code == "record_too_large":
        return RequestRefused("payload_too_large", "an event is too large for the event log")
    return refusal_of(error)
