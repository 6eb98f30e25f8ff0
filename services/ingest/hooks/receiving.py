"""The routes of hooks: checked, stored, and only then answered 200. A replay is stored again and means nothing new to dispatch."""

from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from services.contracts.errors import PovodError
from services.contracts.topics import RECEIPTS
from services.ingest.admission import InFlight
from services.ingest.body import Body, ClientGoneError
from services.ingest.hooks.schemes import challenge_of, is_signed, knows_secret, message_id_in
from services.ingest.intake import refused
from services.ingest.parts import IngestParts
from services.ingest.refusals import RequestRefused
from services.runtime.eventlog.port import OutgoingRecord
from services.runtime.settings import HookSettings
from services.runtime.telemetry.metrics import INGEST_HOOKS

PATH = "/hooks/{name}"
Responses = dict[int | str, dict[str, Any]]
_BODY_DEADLINE = timedelta(seconds=10)
_LONGEST_TYPE = 200


class Hooks:
    """Takes callbacks in; `in_flight` counts the bytes of all requests that are not answered yet."""

    def __init__(self, parts: IngestParts, in_flight: InFlight) -> None:
        self._parts = parts
        self._in_flight = in_flight

    async def take(self, name: str, request: Request) -> Response:
        """Store a callback, then answer 200. Raises `RequestRefused`: 401, 404, 413, 503, ..."""
        hook = self._hook(name)
        if not knows_secret(hook, request.headers):
            raise self._forged(name)
        body = Body(self._parts.settings.max_body, self._in_flight)
        try:
            content = await body.read(request.receive, dict(request.scope["headers"]), _BODY_DEADLINE)
            now = self._parts.clock.now()
            if not any(is_signed(hook, request.headers, signed, now) for signed in (body.packed, content)):
                raise self._forged(name)
            await self._store(name, now, request, content)
        except ClientGoneError as error:
            raise RequestRefused("bad_request", "the request ended too early") from error
        finally:
            body.release()
        return JSONResponse({"success": True})

    def greet(self, name: str, request: Request) -> Response:
        """Answer Meta's check of the address. Raises `RequestRefused`: 401, 404."""
        challenge = challenge_of(self._hook(name), request.query_params)
        if challenge is None:
            raise self._forged(name)
        return PlainTextResponse(challenge, headers={"x-content-type-options": "nosniff", "cache-control": "no-store"})

    async def _store(self, name: str, now: datetime, request: Request, body: bytes) -> None:
        kind = request.headers.get("content-type", "")[:_LONGEST_TYPE].encode("latin-1", "replace")
        headers = (("hook", name.encode()), ("content-type", kind), ("received-at", now.isoformat().encode()))
        key = message_id_in(body, self._hook(name).message_id).encode("utf-8", "replace")
        try:
            await self._parts.log.append(RECEIPTS, [OutgoingRecord(key, body, headers)])
        except PovodError as error:
            self._parts.metrics.add(INGEST_HOOKS, hook=name, result="not_stored")
            raise refused(error) from error
        self._parts.metrics.add(INGEST_HOOKS, hook=name, result="stored")

    def _hook(self, name: str) -> HookSettings:
        hook = self._parts.settings.hooks.get(name)
        if hook is None:
            raise RequestRefused("not_found", "there is no such hook")
        return hook

    def _forged(self, name: str) -> RequestRefused:
        self._parts.metrics.add(INGEST_HOOKS, hook=name, result="forged")
        return RequestRefused("unauthorized", "the signature is missing or not the provider's")


def router_of(parts: IngestParts, in_flight: InFlight) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["hooks"])
    hooks = Hooks(parts, in_flight)
    refusals: Responses = {401: {"description": "not the provider's"}, 404: {"description": "there is no such hook"}}
    unstored: Responses = {408: {"description": "the body did not come in time"}, 413: {"description": "the body is too large"}}

    @router.post(
        PATH,
        response_class=JSONResponse,
        responses={
            **refusals,
            **unstored,
            400: {"description": "the body can't be read"},
            503: {"description": "not stored; send it again"},
        },
    )
    async def take_a_callback(name: str, request: Request) -> Response:
        """Take a provider's callback: its signature is checked, 200 says that it is stored. Harmless twice."""
        return await hooks.take(name, request)

    @router.get(PATH, response_class=PlainTextResponse, responses=refusals)
    async def answer_a_check(name: str, request: Request) -> Response:
        """Answer Meta's check of the address (`hub.challenge`)."""
        return hooks.greet(name, request)

    return router
