"""What browser libraries ask for before they send anything: where to, and which integrations there are (none but us).

analytics.js: `GET /v1/projects/KEY/settings` from its `cdnURL`; Customer.io's client the same from below `/customerio`, since it calls
the integration otherwise, and both would load scripts from elsewhere if they saw two. Without settings neither starts.
RudderStack's: `GET /sourceConfig/?writeKey=KEY` from its `configUrl`, with a preflight, since it sends `Authorization`.
Nothing here is a secret and nothing is looked up: whether the key is good is said to the first event.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from services.ingest.cors import answer_headers, preflight_headers

R = TypeVar("R", bound=Response)
SETTINGS = {"/v1/projects/{key}/settings": "Segment.io", "/customerio/v1/projects/{key}/settings": "Customer.io Data Pipelines"}
"""The paths of settings, and what the library that asks there calls the place that events go to."""
CONFIG_PATHS = ("/sourceConfig", "/sourceConfig/")
_NO_KEY: dict[int | str, dict[str, Any]] = {404: {"description": "there is no key in the path"}}
_HOST = re.compile(r"[A-Za-z0-9.\-]{1,255}(:[0-9]{1,5})?|\[[0-9a-fA-F:.]{2,45}\](:[0-9]{1,5})?")


def router_of(public_url: str) -> APIRouter:
    """Return the routes; `public_url` says whether the web reaches us by https where the request itself can't."""
    router = APIRouter(tags=["settings"])
    for path, name in SETTINGS.items():
        router.add_api_route(path, _settings_of(name, public_url), summary=f"Settings for {name}", responses=_NO_KEY)
    for path in CONFIG_PATHS:
        router.add_api_route(path, answer_source_config, summary="Settings for RudderStack", include_in_schema=not path.endswith("/"))
    for path in (*SETTINGS, *CONFIG_PATHS):
        router.add_api_route(path, _answer_preflight, methods=["OPTIONS"], include_in_schema=False)
    return router


def _settings_of(name: str, public_url: str) -> Callable[[str, Request], Awaitable[JSONResponse]]:
    async def answer_settings(key: str, request: Request) -> JSONResponse:
        """Say where to send events, and that there is no other integration; any key is told the same."""
        return _open(request, segment_settings(name, key, *address_of(request, public_url)))

    return answer_settings


async def answer_source_config(request: Request, write_key: Annotated[str, Query(alias="writeKey")] = "") -> JSONResponse:
    """Say what RudderStack's browser library asks before it starts: the source is on, there are no destinations."""
    return _open(request, source_config(write_key))


async def _answer_preflight(request: Request) -> Response:
    return _with(Response(status_code=204), preflight_headers(dict(request.headers.raw), lambda _origin: True))


def segment_settings(name: str, key: str, scheme: str, host: str) -> dict[str, Any]:
    """Return what analytics.js 1.84 needs: without `integrations` it fails; a sample rate of 0 keeps its own metrics at home."""
    return {
        "integrations": {name: {"apiKey": key, "apiHost": f"{host}/v1", "protocol": scheme}},
        "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
        "metrics": {"sampleRate": 0},
    }


def source_config(key: str) -> dict[str, Any]:
    """Return what RudderStack's analytics-js 3.34 needs: `source` with an id, a config and a list of destinations."""
    nothing_collected = {"errors": {"enabled": False}, "metrics": {"enabled": False}}
    return {
        "source": {
            "id": "povod",
            "name": "Povod",
            "writeKey": key,
            "enabled": True,
            "workspaceId": "povod",
            "config": {"statsCollection": nothing_collected},
            "destinations": [],
            "dataplanes": {},
        },
        "updatedAt": "2026-01-01T00:00:00.000Z",
    }


def address_of(request: Request, public_url: str) -> tuple[str, str]:
    """Return the scheme and host by which the page reached us: what it asked for is what it can send to."""
    public = urlsplit(public_url)
    host = request.headers.get("host", "")
    if host == public.netloc or not _HOST.fullmatch(host):
        return public.scheme, public.netloc
    forwarded = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return forwarded if forwarded in {"http", "https"} else request.url.scheme, host


def _open(request: Request, content: dict[str, Any]) -> JSONResponse:
    """Return JSON that pages of any origin may read, and nobody keeps: it names the host that was asked."""
    origin = request.headers.get("origin")
    headers = answer_headers(None if origin is None else origin.encode("latin-1"), None, lambda _origin: True)
    return _with(JSONResponse(content, headers={"cache-control": "private, no-cache"}), headers)


def _with(response: R, headers: tuple[tuple[bytes, bytes], ...]) -> R:
    for name, value in headers:
        response.headers[name.decode()] = value.decode("latin-1")
    return response
