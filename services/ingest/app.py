"""The HTTP application: the events door as plain ASGI in front, everything else by FastAPI."""

from collections.abc import MutableMapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from services import __version__
from services.contracts.errors import PovodError
from services.ingest import debug, health, snippet
from services.ingest.answers import Send, refusal, refusal_response, send_answer
from services.ingest.application import BODY_DEADLINE, DoorsApplication
from services.ingest.body import Receive
from services.ingest.doors import segment_settings
from services.ingest.doors.registry import DOORS, door_at
from services.ingest.hooks import receiving
from services.ingest.intake import Intake
from services.ingest.openapi import add_doors
from services.ingest.parts import IngestParts
from services.ingest.refusals import RequestRefused, refusal_of
from services.ingest.returning.routers import routers_of
from services.ingest.whole import WholeRequests

_CODES = {404: "not_found", 405: "method_not_allowed"}
_POSTS_ONLY = refusal(RequestRefused("method_not_allowed", "events are posted here", allow="OPTIONS, POST"))
_SHOWN = 100
"""Characters of a wrong path that are repeated to whoever asked for it."""
_log = structlog.get_logger()


class IngestApp(FastAPI):
    """FastAPI, passed by at the doors: its routing alone costs more than all that a door does.

    `whole` is for the server (`services.ingest.protocol`); `intake` is what both ways lead to.
    """

    def __init__(self, parts: IngestParts, body_deadline: timedelta) -> None:
        super().__init__(
            title="Povod",
            version=__version__,
            summary="Post what your customers do.",
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
        )
        self.intake = Intake(parts)
        self.whole = WholeRequests(parts, self.intake)
        self._doors = DoorsApplication(parts, self.intake, body_deadline)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Lead a request to its door or to FastAPI."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
        elif (door := door_at(scope["method"], scope["path"])) is not None:
            await self._doors.take(door, scope, receive, send)
        elif scope["method"] == "OPTIONS" and scope["path"] in DOORS:
            await self._doors.tell_what_may_be_sent(scope, send)
        elif scope["path"] in DOORS:
            await send_answer(send, _POSTS_ONLY)
        else:
            await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, the doors included."""
        if self.openapi_schema is None:
            self.openapi_schema = add_doors(super().openapi())
        return self.openapi_schema


def create_app(parts: IngestParts, *, body_deadline: timedelta = BODY_DEADLINE) -> IngestApp:
    """Return the application; the server and `parts.keys.run` are run by the caller."""
    app = IngestApp(parts, body_deadline)
    app.state.routers = (
        health.router_of(parts.health, parts.metrics, app.intake.report),
        snippet.router_of(),
        segment_settings.router_of(parts.settings.public_url),
        debug.router_of(parts.keys, app.intake.recent, parts.clock),
        *routers_of(parts, app.intake.in_flight),
        receiving.router_of(parts, app.intake.in_flight),
    )
    for router in app.state.routers:
        app.include_router(router)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(PovodError, _answer_povod_error)
    app.add_exception_handler(Exception, _answer_mistake)
    return app


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = str(error.detail) if isinstance(error, HTTPException) else ""
    if status == HTTPStatus.NOT_FOUND:
        detail = f"there is nothing at {request.url.path[:_SHOWN]}: post events to /v1/events, look at them at /debug"
    response = refusal_response(RequestRefused(_CODES.get(status, "bad_request"), detail))
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        response.headers["allow"] = ", ".join(sorted(_allowed(request)))  # RFC 9110, 15.5.6
    return response


def _allowed(request: Request) -> set[str]:
    """Return the methods of all routes at the request's path; Starlette knows those of the first one only."""
    routes = [route for router in request.app.state.routers for route in router.routes if isinstance(route, Route)]
    return {method for route in routes if route.matches(request.scope)[0] is not Match.NONE for method in route.methods or ()}


async def _answer_povod_error(request: Request, error: Exception) -> Response:
    refused = refusal_of(error) if isinstance(error, PovodError) else None
    return await _answer_mistake(request, error) if refused is None or refused.code == "internal_error" else refusal_response(refused)


async def _answer_mistake(_request: Request, error: Exception) -> Response:
    _log.error("a request met a mistake of ours", action="ingest.failed", exc_info=error)
    return refusal_response(RequestRefused("internal_error", "something went wrong on our side"))
