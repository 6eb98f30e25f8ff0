"""What arrived lately, for the developer of a website: `GET /v1/debug/events` as JSON, `GET /debug` as a page that shows it live.

Both show what this process took; with several behind one address, each answer is of one of them. An administrator's key is needed: the
events name customers. The page itself holds nothing; it asks for the key and keeps it in the tab's memory (sessionStorage) only.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header
from fastapi.responses import Response

from services.ingest.credentials import secret_of
from services.ingest.keyring import KeyRing
from services.ingest.recent import LIMIT, Recent, Seen
from services.ingest.refusals import RequestRefused
from services.runtime.clock import Clock

FILES = Path(__file__).parent / "static"
_TYPES = {"debug.html": "text/html; charset=utf-8", "debug.js": "text/javascript; charset=utf-8", "debug.css": "text/css; charset=utf-8"}
_PATHS = {"/debug": "debug.html", "/debug/debug.js": "debug.js", "/debug/debug.css": "debug.css"}
_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
        " form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-robots-tag": "noindex",
    }
)


def _answers(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}


_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: _answers("the newest events first", "DebugAnswer"),
    400: _answers("`limit` is no number from 1 to 100 (`bad_request`)", "ErrorBody"),
    401: _answers("the admin key is missing or not known (`unauthorized`)", "ErrorBody"),
    403: _answers("the key is no admin key (`wrong_scope`)", "ErrorBody"),
    503: _answers("the keys are not loaded yet (`keys_unavailable`)", "ErrorBody"),
}

_NO_KEY = "send an admin key: Authorization: Bearer KEY; make one with: povod keys create NAME --scope admin"


class DebugAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: `keys` that may post, and the newest `events` first, as of `at`."""

    success: bool = True
    at: datetime
    keys: list[str]
    events: list[Seen]


def router_of(keys: KeyRing, recent: Recent, clock: Clock) -> APIRouter:
    """Return the routes; the page's files are read here, once."""
    router = APIRouter(tags=["debug"])
    contents = {path: (FILES / name).read_bytes() for path, name in _PATHS.items()}

    @router.get("/v1/debug/events", response_class=Response, responses=_RESPONSES, openapi_extra={"security": [{"adminKey": []}]})
    async def debug_events(
        key: str | None = None, limit: str = str(LIMIT), authorization: Annotated[str | None, Header(include_in_schema=False)] = None
    ) -> Response:
        """Return the newest events that came with a key (by its name; without one, with any), and what became of each.

        Needs an admin key: `Authorization: Bearer KEY`. What is shown is what this process took since it started, 100 events a key.
        """
        keys.find_admin(secret_of(None if authorization is None else authorization.encode("latin-1", "replace"), _NO_KEY))
        answer = DebugAnswer(at=clock.now(), keys=list(keys.names), events=recent.seen(key, _limit(limit)))
        return Response(msgspec.json.encode(answer), media_type="application/json", headers={"cache-control": "no-store"})

    async def page(path: str) -> Response:
        return Response(contents[path], headers=_HEADERS, media_type=_TYPES[_PATHS[path]])

    for path in _PATHS:
        router.add_api_route(path, partial(page, path), methods=["GET"], include_in_schema=False)
    return router


def _limit(given: str) -> int:
    if not (given.isascii() and given.isdigit() and len(given) <= len(str(LIMIT)) and 1 <= int(given) <= LIMIT):
        raise RequestRefused("bad_request", f"limit is a number from 1 to {LIMIT}")
    return int(given)
