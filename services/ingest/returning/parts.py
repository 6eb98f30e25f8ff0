"""What the routes of this folder share: the service's parts, the pages, the reporter, and the reading of forms."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from services.consent.claims import Claim
from services.consent.statements import Proof
from services.contracts.errors import InvalidToken
from services.ingest.admission import InFlight
from services.ingest.body import Body, ClientGoneError
from services.ingest.pages.languages import Language
from services.ingest.pages.rendering import Pages
from services.ingest.parts import IngestParts
from services.ingest.peers import Network
from services.ingest.refusals import RETRY_AFTER, RequestRefused
from services.ingest.returning.reporting import Reporter
from services.ingest.returning.visitors import Visitor, visitor_of

MAX_FORM = 16_384
"""Bytes of a posted form."""
_MAX_FIELDS = 300
_FORM_DEADLINE = timedelta(seconds=5)
_ClaimT = TypeVar("_ClaimT", bound=Claim)
RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {"description": "the form can't be read, or says nothing"},
    404: {"description": "the link is not one of ours"},
    408: {"description": "the form did not come in time"},
    413: {"description": "the form is too large"},
    503: {"description": "not written; try again"},
}
"""What the pages answer beside 200."""
EXPIRING: dict[int | str, dict[str, Any]] = {410: {"description": "the link has expired"}}
"""What pages answer too whose links have their time."""
Form = Mapping[str, Sequence[str]]
Handler = Callable[[str, Request], Awaitable[Response]]
"""Answers a request for a page: its token, the request. Name and docstring stand in the OpenAPI document."""


@dataclass(frozen=True)
class ReturningParts:
    """The collaborators of the routes."""

    ingest: IngestParts
    pages: Pages
    reporter: Reporter
    in_flight: InFlight
    trusted: tuple[Network, ...]

    def claim_of(self, token: str, kind: type[_ClaimT]) -> _ClaimT | None:
        """Return what a token says, None where it is not ours or of another kind."""
        try:
            return self.ingest.signer.read(token, kind)
        except InvalidToken:
            return None

    def visitor(self, request: Request) -> Visitor:
        """Return who asks."""
        return visitor_of(request, self.trusted)

    def proof(self, request: Request, source: str, message_id: str | None) -> Proof:
        """Return what shows that a customer stated something: message, address, program."""
        visitor = self.visitor(request)
        evidence = f"message {message_id or 'unknown'}, from {visitor.address}, by {visitor.agent or 'unknown'}"
        return Proof(self.ingest.clock.now(), source, evidence)

    def unknown(self, language: Language) -> Response:
        """Answer a token that is not ours."""
        return self.pages.notice("unknown", language, 404)

    def expired(self, language: Language) -> Response:
        """Answer a token whose time is over."""
        return self.pages.notice("expired", language, 410)

    def later(self, language: Language) -> Response:
        """Answer what could not be written now."""
        return self.pages.notice("later", language, 503, RETRY_AFTER)


def page_router(tag: str, path: str, ask: Handler, act: Handler, responses: Mapping[int | str, dict[str, Any]] = RESPONSES) -> APIRouter:
    """Return the routes of a page: GET, which changes nothing, and POST, which does what was asked."""
    router = APIRouter(tags=[tag])
    for method, handler in (("GET", ask), ("POST", act)):
        router.add_api_route(path, handler, methods=[method], response_class=HTMLResponse, responses=dict(responses))
    router.add_api_route(path, ask, methods=["HEAD"], include_in_schema=False)  # programs that check links ask so (RFC 9110, 9.1)
    return router


async def read_body(request: Request, in_flight: InFlight) -> bytes:
    """Return a small posted body; raises `RequestRefused` (408, 413, 503) or `ClientGoneError`."""
    body = Body(MAX_FORM, in_flight)
    try:
        return await body.read(request.receive, {}, _FORM_DEADLINE)
    finally:
        body.release()


async def read_form(request: Request, in_flight: InFlight) -> Form:
    """Return the fields of a posted form (`application/x-www-form-urlencoded`), each with its values.

    Raises `RequestRefused` (400, 408, 413, 503).
    """
    try:
        body = await read_body(request, in_flight)
        return parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except (ValueError, ClientGoneError) as error:
        raise RequestRefused("bad_request", "the form can't be read") from error
