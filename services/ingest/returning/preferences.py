"""`/p/{token}`: the preference page. GET shows what holds, POST writes what was changed before it says so.

A form states only what it has shown: a channel or topic that came up since is left as it is.
"""

from collections.abc import Collection, Sequence
from typing import TypeVar

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from services.consent.claims import PreferencesClaim
from services.consent.preferences import Frequency, Offer, Standing, Wishes, save, standing_of
from services.contracts.errors import DatabaseUnavailable
from services.contracts.ids import Channel
from services.ingest.pages.languages import LANGUAGES, Language, chosen
from services.ingest.returning.parts import Form, ReturningParts, page_router, read_form
from services.ingest.returning.visitors import language_for

PATH = "/p/{token}"
_FREQUENCIES: tuple[Frequency, ...] = ("normal", "less")
_T = TypeVar("_T", bound=str)
_log = structlog.get_logger()


class PreferencesPage:
    """Shows and writes what a customer gets."""

    def __init__(self, parts: ReturningParts) -> None:
        self._parts = parts

    async def show_preferences(self, token: str, request: Request) -> Response:
        """Show what the customer gets; changes nothing."""
        claim = self._parts.claim_of(token, PreferencesClaim)
        language = language_for(request, claim.language if claim else "")
        if claim is None:
            return self._parts.unknown(language)
        try:
            standing = await standing_of(self._parts.ingest.database, claim.customer, self._offer(claim))
        except DatabaseUnavailable:
            return self._parts.later(language)
        return self._form(claim, standing, language)

    async def change_preferences(self, token: str, request: Request) -> Response:
        """Write what the customer wants to get. Harmless twice."""
        claim = self._parts.claim_of(token, PreferencesClaim)
        language = language_for(request, claim.language if claim else "")
        if claim is None:
            return self._parts.unknown(language)
        form = await read_form(request, self._parts.in_flight)
        proof = self._parts.proof(request, "preferences", claim.message_id)
        try:
            changed = await save(self._parts.ingest.database, claim.customer, self._offer(claim), wishes_of(form, claim), proof)
        except DatabaseUnavailable as error:
            _log.warning("preferences could not be written", action="preferences.delayed", error=str(error))
            return self._parts.later(language)
        if changed:
            self._parts.ingest.on_unsubscribed()
            _log.info("a customer has other preferences", action="customer.preferences", channel=claim.channel)
        return self._parts.pages.notice("stopped" if "nothing" in form else "saved", language)

    def _offer(self, claim: PreferencesClaim) -> Offer:
        settings = self._parts.ingest.settings
        return Offer(claim.channel, [Channel(channel) for channel in settings.preference_channels], list(settings.topics))

    def _form(self, claim: PreferencesClaim, standing: Standing, language: Language) -> HTMLResponse:
        topics = self._parts.ingest.settings.topics
        return self._parts.pages.answer(
            "preferences",
            language,
            channels=list(standing.channels.items()),
            topics=[(topic, topics[topic].names, gets) for topic, gets in standing.topics.items()],
            frequency=standing.frequency,
            message_language=chosen("", claim.language, language),
        )


def wishes_of(form: Form, claim: PreferencesClaim) -> Wishes:
    """Return what a posted form says; the button for nothing at all says no to everything shown."""
    channels, topics = _ticked(form, "channel"), _ticked(form, "topic")
    if "nothing" in form:
        return Wishes({Channel(channel): False for channel in channels}, {}, None, None)
    frequency = _one_of(form.get("frequency", ()), _FREQUENCIES)
    language = _one_of(form.get("language", ()), LANGUAGES)
    wishes = {Channel(channel): wanted for channel, wanted in channels.items()}
    return Wishes(wishes, topics, frequency, None if language == claim.language else language)


def _ticked(form: Form, name: str) -> dict[str, bool]:
    ticked = form.get(name, ())
    return {each: each in ticked for each in form.get(f"shown_{name}", ())}


def _one_of(said: Collection[str], allowed: Sequence[_T]) -> _T | None:
    return next((each for each in allowed if each in said), None)


def router_of(parts: ReturningParts) -> APIRouter:
    """Return the routes."""
    page = PreferencesPage(parts)
    return page_router("links", PATH, page.show_preferences, page.change_preferences)
