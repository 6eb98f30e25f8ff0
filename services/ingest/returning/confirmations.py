"""`/d/{token}`: double opt-in. GET asks, POST subscribes: written, with what shows it, before it is acknowledged."""

import structlog
from fastapi import APIRouter, Request, Response

from services.consent.claims import ConfirmationClaim
from services.consent.confirmation import confirm
from services.contracts.errors import DatabaseUnavailable
from services.ingest.returning.parts import EXPIRING, RESPONSES, ReturningParts, page_router, read_form
from services.ingest.returning.visitors import language_for

PATH = "/d/{token}"
SOURCE = "double_opt_in"
_log = structlog.get_logger()


class ConfirmationPage:
    """Asks whether an address is to get messages, and writes down that it is."""

    def __init__(self, parts: ReturningParts) -> None:
        self._parts = parts

    async def ask_for_a_confirmation(self, token: str, request: Request) -> Response:
        """Show the page that asks; changes nothing."""
        claim = self._parts.claim_of(token, ConfirmationClaim)
        language = language_for(request, claim.language if claim else "")
        if claim is None:
            return self._parts.unknown(language)
        if self._is_expired(claim):
            return self._parts.expired(language)
        return self._parts.pages.answer("confirmation", language, channel=claim.channel, address=claim.address)

    async def confirm_a_subscription(self, token: str, request: Request) -> Response:
        """Subscribe the customer to the channel at this address. Harmless twice."""
        claim = self._parts.claim_of(token, ConfirmationClaim)
        language = language_for(request, claim.language if claim else "")
        if claim is None:
            return self._parts.unknown(language)
        if self._is_expired(claim):
            return self._parts.expired(language)
        await read_form(request, self._parts.in_flight)  # nothing in it counts; the connection is left clean
        proof = self._parts.proof(request, SOURCE, claim.message_id)
        try:
            await confirm(self._parts.ingest.database, claim, proof._replace(evidence=f"address {claim.address}, {proof.evidence}"))
        except DatabaseUnavailable as error:
            _log.warning("a confirmation could not be written", action="confirmation.delayed", error=str(error))
            return self._parts.later(language)
        self._parts.ingest.on_unsubscribed()
        _log.info("a customer confirmed a subscription", action="customer.confirmed", channel=claim.channel)
        return self._parts.pages.notice("confirmed", language, address=claim.address)

    def _is_expired(self, claim: ConfirmationClaim) -> bool:
        ingest = self._parts.ingest
        return claim.is_expired(ingest.clock.now(), ingest.settings.confirmation_valid_for)


def router_of(parts: ReturningParts) -> APIRouter:
    """Return the routes."""
    page = ConfirmationPage(parts)
    return page_router("links", PATH, page.ask_for_a_confirmation, page.confirm_a_subscription, {**RESPONSES, **EXPIRING})
