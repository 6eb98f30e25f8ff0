"""The unsubscribe link: `GET /u/{token}` asks, `POST /u/{token}` does it, a mail program's one click too (RFC 8058).

GET changes nothing: scanners and previews open every link of a mail. POST is answered only after the unsubscription is committed.
"""

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from services.consent.claims import UnsubscribeClaim
from services.consent.unsubscribe import unsubscribe
from services.contracts.errors import DatabaseUnavailable
from services.ingest.body import ClientGoneError
from services.ingest.refusals import RETRY_AFTER
from services.ingest.returning.parts import RESPONSES, ReturningParts, read_body
from services.ingest.returning.visitors import language_for

PATH = "/u/{token}"
_ONE_CLICK = b"One-Click"
_log = structlog.get_logger()


class UnsubscribePage:
    """Asks, and writes down what was answered."""

    def __init__(self, parts: ReturningParts) -> None:
        self._parts = parts

    def ask(self, token: str, request: Request) -> Response:
        """Return the page that asks, 404 for a token that is not ours."""
        claim = self._parts.claim_of(token, UnsubscribeClaim)
        if claim is None:
            return self._parts.unknown(language_for(request))
        return self._parts.pages.answer("unsubscribe", language_for(request), channel=claim.channel, is_later=False)

    async def act(self, token: str, request: Request) -> Response:
        """Unsubscribe, then say so; 404 for a token that is not ours, 503 where it could not be written."""
        language = language_for(request)
        claim = self._parts.claim_of(token, UnsubscribeClaim)
        if claim is None:
            return self._parts.unknown(language)
        try:
            await self._write(claim, await self._form_of(request), request)
        except DatabaseUnavailable as error:
            _log.warning("an unsubscription could not be written", action="unsubscribe.delayed", error=str(error))
            return self._parts.pages.answer("unsubscribe", language, 503, RETRY_AFTER, channel=claim.channel, is_later=True)
        self._parts.ingest.on_unsubscribed()
        words = self._parts.pages.words(language)["messages_of"]
        return self._parts.pages.notice("unsubscribed", language, channel=words.get(claim.channel, words["any"]))

    async def _form_of(self, request: Request) -> bytes:
        """Read what was posted: one field that says nothing new, urlencoded or multipart."""
        try:
            return await read_body(request, self._parts.in_flight)
        except ClientGoneError:
            return b""  # who asked and hung up has asked all the same

    async def _write(self, claim: UnsubscribeClaim, form: bytes, request: Request) -> None:
        source = "one_click" if _ONE_CLICK in form else "link"
        proof = self._parts.proof(request, source, claim.message_id)
        await unsubscribe(self._parts.ingest.database, claim, proof.now, source, proof.evidence)
        _log.info("a customer unsubscribed", action="customer.unsubscribed", channel=claim.channel, source=source)


def router_of(parts: ReturningParts) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["unsubscribe"])
    page = UnsubscribePage(parts)

    @router.get(PATH, response_class=HTMLResponse, responses=RESPONSES)
    async def ask_whether_to_unsubscribe(token: str, request: Request) -> Response:
        """Show the page that asks; changes nothing."""
        return page.ask(token, request)

    @router.post(PATH, response_class=HTMLResponse, responses=RESPONSES)
    async def unsubscribe_the_customer(token: str, request: Request) -> Response:
        """Unsubscribe: from the page, or by RFC 8058 one-click (`List-Unsubscribe=One-Click`). Harmless twice."""
        return await page.act(token, request)

    return router
