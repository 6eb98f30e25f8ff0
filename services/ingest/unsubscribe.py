"""The unsubscribe link: `GET /u/{token}` asks, `POST /u/{token}` does it, a mail program's one click too (RFC 8058).

GET changes nothing: scanners and previews open every link of a mail. POST is answered only after the unsubscription is committed.
"""

from datetime import timedelta
from typing import Any, Literal

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from services.consent.claims import UnsubscribeClaim
from services.consent.unsubscribe import unsubscribe
from services.contracts.errors import DatabaseUnavailable, InvalidToken
from services.ingest.admission import InFlight
from services.ingest.body import Body, ClientGoneError
from services.ingest.pages import HEADERS, Language, language_of, render_page
from services.ingest.parts import IngestParts
from services.ingest.refusals import RETRY_AFTER

PATH = "/u/{token}"
_ONE_CLICK = b"One-Click"
_MAX_FORM = 16_384
_FORM_DEADLINE = timedelta(seconds=5)
_log = structlog.get_logger()


class UnsubscribePage:
    """Asks, and writes down what was answered."""

    def __init__(self, parts: IngestParts) -> None:
        self._parts = parts
        self._in_flight = InFlight(parts.settings.max_in_flight)

    def ask(self, token: str, language: Language) -> HTMLResponse:
        """Return the page that asks, 404 for a token that is not ours."""
        try:
            claim = self._parts.signer.read(token, UnsubscribeClaim)
        except InvalidToken:
            return _page("unknown", language, status=404)
        return _page("ask", language, claim)

    async def act(self, token: str, language: Language, request: Request) -> HTMLResponse:
        """Unsubscribe, then say so; 404 for a token that is not ours, 503 where it could not be written."""
        try:
            claim = self._parts.signer.read(token, UnsubscribeClaim)
            await self._write(claim, await self._form_of(request), request)
        except InvalidToken:
            return _page("unknown", language, status=404)
        except DatabaseUnavailable as error:
            _log.warning("an unsubscription could not be written", action="unsubscribe.delayed", error=str(error))
            return _page("later", language, status=503, retry_after=RETRY_AFTER)
        self._parts.on_unsubscribed()
        return _page("done", language, claim)

    async def _form_of(self, request: Request) -> bytes:
        """Read what was posted: one field that says nothing new, urlencoded or multipart."""
        body = Body(_MAX_FORM, self._in_flight)
        try:
            return await body.read(request.receive, {}, _FORM_DEADLINE)
        except ClientGoneError:
            return b""  # who asked and hung up has asked all the same
        finally:
            body.release()

    async def _write(self, claim: UnsubscribeClaim, form: bytes, request: Request) -> None:
        source = "one_click" if _ONE_CLICK in form else "link"
        address = request.client.host if request.client else "unknown"
        evidence = f"message {claim.message_id or 'unknown'}, from {address}"
        await unsubscribe(self._parts.database, claim, self._parts.clock.now(), source, evidence)
        _log.info("a customer unsubscribed", action="customer.unsubscribed", channel=claim.channel, source=source)


def router_of(parts: IngestParts) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["unsubscribe"])
    page = UnsubscribePage(parts)
    unknown: dict[int | str, dict[str, Any]] = {404: {"description": "the link is not one of ours"}}

    @router.get(PATH, response_class=HTMLResponse, responses=unknown)
    async def ask_whether_to_unsubscribe(token: str, request: Request) -> HTMLResponse:
        """Show the page that asks; changes nothing."""
        return page.ask(token, language_of(request.headers.get("accept-language", "")))

    @router.post(PATH, response_class=HTMLResponse, responses={**unknown, 503: {"description": "not written; try again"}})
    async def unsubscribe_the_customer(token: str, request: Request) -> HTMLResponse:
        """Unsubscribe: from the page, or by RFC 8058 one-click (`List-Unsubscribe=One-Click`). Harmless twice."""
        return await page.act(token, language_of(request.headers.get("accept-language", "")), request)

    return router


def _page(
    name: Literal["ask", "done", "unknown", "later"],
    language: Language,
    claim: UnsubscribeClaim | None = None,
    *,
    status: int = 200,
    retry_after: int | None = None,
) -> HTMLResponse:
    headers = dict(HEADERS) | ({} if retry_after is None else {"retry-after": str(retry_after)})
    return HTMLResponse(render_page(name, language, claim.channel if claim else ""), status, headers)
