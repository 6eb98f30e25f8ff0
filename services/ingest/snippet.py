"""`GET /povod.js`: the browser snippet, as it lies in `static/`, with what lets browsers and proxies keep it."""

import gzip
import hashlib
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

PATH = "/povod.js"
FILE = Path(__file__).parent / "static" / "povod.js"
_HEADERS = {
    "cache-control": "public, max-age=3600, stale-while-revalidate=86400",
    "vary": "Accept-Encoding",
    "access-control-allow-origin": "*",  # for <script crossorigin integrity=...>
    "cross-origin-resource-policy": "cross-origin",
    "x-content-type-options": "nosniff",
}


def router_of() -> APIRouter:
    """Return the route; the file is read and packed here, once."""
    router = APIRouter()
    plain = FILE.read_bytes()
    packed = gzip.compress(plain, 9, mtime=0)
    etag = hashlib.sha256(plain).hexdigest()[:32]

    @router.api_route(PATH, methods=["GET", "HEAD"], include_in_schema=False)
    async def snippet(request: Request) -> Response:
        is_packed = "gzip" in request.headers.get("accept-encoding", "")
        tag = f'"{etag}-gz"' if is_packed else f'"{etag}"'  # an ETag names the bytes that are sent (RFC 9110, 8.8.3)
        headers = {**_HEADERS, "etag": tag}
        if _is_known(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        if is_packed:
            headers["content-encoding"] = "gzip"
        return Response(packed if is_packed else plain, headers=headers, media_type="text/javascript; charset=utf-8")

    return router


def _is_known(if_none_match: str, tag: str) -> bool:
    """Say whether the browser has these bytes (RFC 9110, 13.1.2: weak comparison)."""
    given = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return tag in given or "*" in given
