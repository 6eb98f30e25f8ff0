"""The unsubscribe link: `GET /u/{token}` asks, `POST /u/{token}` does it, a mail program's one click too (RFC 8058).

GET changes nothing: scanners and previews open every link of a mail. POST is answered only after the unsubscription is committed.
"""

import structlog
from fastapi import APIRouter, Request, Response

from services.consent.claims import UnsubscribeClaim
from services.consent.unsubscribe import unsubscribe
from services.contracts.errors import DatabaseUnavailable
from services.ingest.body import ClientGoneError
from services.ingest.refusals import RETRY_AFTER
from services.ingest.returning.parts import ReturningParts, page_router, read_body
from services.ingest.returning.visitors import language_for

PATH = "/u/{token}"
_ONE_CLICK = b"One-Click"
_log = structlog.get_logger()


class UnsubscribePage:
    """Asks, and writes down what was answered."""

    def __init__(self, parts: ReturningParts) -> None:
        self._parts = parts

    async def ask_whether_to_unsubscribe(self, token: str, request: Request) -> Response:
        """Show the page that asks; changes nothing."""
        claim = self._parts.claim_of(token, UnsubscribeClaim)
        if claim is None:
            return self._parts.unknown(language_for(request))
        return self._parts.pages.answer("unsubscribe", language_for(request), channel=claim.channel, is_later=False)

    async def unsubscribe_the_customer(self, token: str, request: Request) -> Response:
        """Unsubscribe: from the page, or by RFC 8058 one-click (`List-Unsubscribe=One-Click`). Harmless twice."""
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
    page = UnsubscribePage(parts)
    return page_router("unsubscribe", PATH, page.ask_whether_to_unsubscribe, page.unsubscribe_the_customer)
