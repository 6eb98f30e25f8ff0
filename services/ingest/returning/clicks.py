"""`GET /c/{token}`: a link of a message. Leads to the address inside the signed token, and nowhere else, and reports the click.

A click is marked as a program's where the User-Agent is a known one, where the browser only looks ahead, or where it comes so soon after
the message was rendered that nobody can have read it. HEAD reports nothing. A log that is away keeps nobody from the page.
"""

from datetime import timedelta
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from services.consent.claims import ClickClaim
from services.contracts.web_addresses import is_web_address
from services.ingest.returning.parts import ReturningParts
from services.ingest.returning.reporting import event_of
from services.ingest.returning.visitors import Visitor, language_for

PATH = "/c/{token}"
TYPE = "message.clicked"
TOO_SOON = timedelta(seconds=2)
"""Nobody has read a message so soon after it was rendered."""
_KEPT = ":/?#[]@!$&'()*+,;=%"
"""Characters of an address that stay as they are in a header (RFC 3986, 2.2)."""


def router_of(parts: ReturningParts) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["links"])

    @router.head(PATH, include_in_schema=False)
    @router.get(
        PATH,
        status_code=302,
        response_class=Response,
        responses={302: {"description": "the page that the link leads to"}, 404: {"description": "the link is not one of ours"}},
    )
    async def follow_a_link(token: str, request: Request) -> Response:
        """Lead to the page that a link of a message is about."""
        claim = parts.claim_of(token, ClickClaim)
        if claim is None or not is_web_address(claim.target):
            return parts.unknown(language_for(request))
        if request.method == "GET":
            await _report(parts, claim, parts.visitor(request))
        headers = {"location": quote(claim.target, safe=_KEPT), "cache-control": "no-store", "x-robots-tag": "noindex"}
        return Response(status_code=302, headers=headers)

    return router


async def _report(parts: ReturningParts, claim: ClickClaim, visitor: Visitor) -> None:
    now = parts.ingest.clock.now()
    is_bot = visitor.is_program or visitor.is_prefetching or now - claim.rendered_at < TOO_SOON
    name = f"click:{claim.message_id}:{claim.number}:{'bot' if is_bot else 'person'}"
    data = {"message_id": claim.message_id, "channel": claim.channel, "link": claim.number, "url": claim.target}
    await parts.reporter.report(event_of(name, TYPE, claim.customer, now, data, bot=is_bot))
