"""`/s/{token}`: a question asked by a message: a scale of 0 to 10 with a word, or a word only. POST answers, `survey.answered`.

`GET ?score=9`, from a number in the mail, ticks that number and changes nothing: scanners open those links too. Answering again is a new
event, the last one counts; the same answer within a minute is the same event.
"""

from hashlib import sha256
from typing import NamedTuple

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from services.consent.claims import SurveyClaim
from services.contracts.errors import LogUnavailable
from services.contracts.hygiene import clean_text
from services.ingest.pages.languages import Language
from services.ingest.returning.parts import Form, ReturningParts, page_router, read_form
from services.ingest.returning.reporting import event_of
from services.ingest.returning.visitors import language_for

PATH = "/s/{token}"
TYPE = "survey.answered"
LONGEST_COMMENT = 2_000
_SCORES = {str(score): score for score in range(11)}


class Given(NamedTuple):
    """An answer: `score` from 0 to 10 or None, `comment` or nothing."""

    score: int | None
    comment: str


class SurveyPage:
    """Asks, and reports what was answered."""

    def __init__(self, parts: ReturningParts) -> None:
        self._parts = parts

    async def ask_a_question(self, token: str, request: Request) -> Response:
        """Show the question; `?score=` ticks a number. Changes nothing."""
        claim = self._parts.claim_of(token, SurveyClaim)
        language = language_for(request, claim.language if claim else "")
        if claim is None:
            return self._parts.unknown(language)
        return self._form(claim, language, Given(_SCORES.get(request.query_params.get("score", "")), ""))

    async def answer_a_question(self, token: str, request: Request) -> Response:
        """Take the answer: `score` (0 to 10), `comment`, or both. The last one counts."""
        claim = self._parts.claim_of(token, SurveyClaim)
        language = language_for(request, claim.language if claim else "")
        if claim is None:
            return self._parts.unknown(language)
        given = given_in(await read_form(request, self._parts.in_flight))
        if given.score is None and not given.comment:
            return self._form(claim, language, given, is_empty=True)
        try:
            await self._report(claim, given)
        except LogUnavailable:
            return self._parts.later(language)
        return self._parts.pages.notice("answered", language)

    async def _report(self, claim: SurveyClaim, given: Given) -> None:
        digest = sha256(f"{given.score}\x1f{given.comment}".encode()).hexdigest()[:16]
        data = {
            "message_id": claim.message_id,
            "channel": claim.channel,
            "question": claim.question,
            "score": given.score,
            "comment": given.comment or None,
        }
        name = f"survey:{claim.message_id}:{claim.question}:{digest}"
        await self._parts.reporter.store(event_of(name, TYPE, claim.customer, self._parts.ingest.clock.now(), data))

    def _form(self, claim: SurveyClaim, language: Language, given: Given, *, is_empty: bool = False) -> HTMLResponse:
        survey = self._parts.ingest.settings.surveys.get(claim.question)
        return self._parts.pages.answer(
            "survey",
            language,
            400 if is_empty else 200,
            question=survey.wording if survey else None,
            scale=survey.scale if survey else True,
            score=given.score,
            comment=given.comment,
            is_empty=is_empty,
        )


def given_in(form: Form) -> Given:
    """Return the answer in a posted form, cut to its longest and safe for every store."""
    comment = clean_text(form.get("comment", [""])[0]).replace("\r\n", "\n").strip()
    return Given(_SCORES.get(form.get("score", [""])[0]), comment[:LONGEST_COMMENT])


def router_of(parts: ReturningParts) -> APIRouter:
    """Return the routes."""
    page = SurveyPage(parts)
    return page_router("links", PATH, page.ask_a_question, page.answer_a_question)
