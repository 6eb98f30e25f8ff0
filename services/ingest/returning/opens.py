"""`GET /o/{token}.gif`: the invisible picture of a message. Always 200 and a picture; a token of ours reports that it was opened.

A hint, no proof: mail services fetch pictures when they like. What is known to be such a fetch is marked (`prefetched`).
"""

import base64

from fastapi import APIRouter, Request, Response

from services.consent.claims import OpenClaim
from services.ingest.returning.clicks import TOO_SOON
from services.ingest.returning.parts import ReturningParts
from services.ingest.returning.reporting import event_of
from services.ingest.returning.visitors import Visitor

PATH = "/o/{token}.gif"
TYPE = "message.opened"
PICTURE = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""One transparent point."""
_HEADERS = {"cache-control": "no-store, max-age=0", "x-robots-tag": "noindex", "cross-origin-resource-policy": "cross-origin"}


def router_of(parts: ReturningParts) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["links"])

    @router.head(PATH, include_in_schema=False)
    @router.get(PATH, response_class=Response, responses={200: {"content": {"image/gif": {}}}})
    async def show_the_picture(token: str, request: Request) -> Response:
        """Show one transparent point, whatever the token."""
        claim = parts.claim_of(token, OpenClaim)
        if claim is not None and request.method == "GET":
            await _report(parts, claim, parts.visitor(request))
        return Response(PICTURE, 200, _HEADERS, "image/gif")

    return router


async def _report(parts: ReturningParts, claim: OpenClaim, visitor: Visitor) -> None:
    now = parts.ingest.clock.now()
    is_bot = not visitor.is_proxy and (visitor.is_program or now - claim.rendered_at < TOO_SOON)
    is_prefetched = visitor.is_proxy or visitor.is_prefetching
    who = "bot" if is_bot else "proxy" if is_prefetched else "person"
    data = {"message_id": claim.message_id, "channel": claim.channel, "prefetched": is_prefetched}
    await parts.reporter.report(event_of(f"open:{claim.message_id}:{who}", TYPE, claim.customer, now, data, bot=is_bot))
