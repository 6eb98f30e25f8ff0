"""From a message to what its channel sends: the template's parts in the customer's language, their links, and the headers with them."""

from collections.abc import Mapping
from typing import Any

from services.consent.claims import Claim, ConfirmationClaim, PreferencesClaim, SurveyClaim, UnsubscribeClaim
from services.consent.tokens import TokenSigner
from services.contracts.errors import RenderFailed
from services.contracts.messages import Kind, Message
from services.contracts.templates import TemplateMistake
from services.contracts.trace import parse_traceparent
from services.dispatch.bundle import TemplateBundle
from services.dispatch.channels.port import Rendered
from services.dispatch.links import LinkWriter
from services.dispatch.templates import Templates
from services.runtime.clock import Clock
from services.runtime.settings import LinkSettings

_LONGEST_QUESTION = 100


class Renderer:
    """Renders messages; `public_url` is where ingest serves the pages that their links lead to."""

    def __init__(self, templates: Templates, signer: TokenSigner, public_url: str, links: LinkSettings, clock: Clock) -> None:
        self._templates = templates
        self._signer = signer
        self._public_url = public_url.rstrip("/")
        self._links = LinkWriter(signer, public_url, links, clock)

    async def render(self, message: Message) -> Rendered:
        """Return the message ready to go. Raises `RenderFailed` where template and context do not go together, `DatabaseUnavailable`."""
        bundle = await self._templates.get(message.template_version)
        language = bundle.language_for(message.channel, message.language)
        url = self._url("u", UnsubscribeClaim(message.customer, message.channel, message.message_id))
        context = {**message.context, **self._pages(bundle, message, language), "language": language, "unsubscribe_url": url}
        parts = bundle.render(message.channel, language, context)
        return Rendered(
            message_id=message.message_id,
            recipient=message.recipient,
            language=language,
            parts=self._links.rewrite(message, parts),
            headers=unsubscribe_headers(message, url),
            traceparent=message.traceparent if parse_traceparent(message.traceparent) else None,
        )

    def _pages(self, bundle: TemplateBundle, message: Message, language: str) -> dict[str, Any]:
        """Return the links to pages that the template speaks of; making one takes time."""
        found: dict[str, Any] = {}
        if bundle.mentions("preferences_url"):
            found["preferences_url"] = self._url("p", PreferencesClaim(message.customer, message.channel, message.message_id, language))
        if bundle.mentions("confirm_url"):
            asked = (message.recipient, message.message_id, language, message.decided_at)
            found["confirm_url"] = self._url("d", ConfirmationClaim(message.customer, message.channel, *asked))
        if bundle.mentions("survey_url"):
            found["survey_url"] = _SurveyUrl(self._signer, f"{self._public_url}/s/", message, language).of
        return found

    def _url(self, page: str, claim: Claim) -> str:
        return f"{self._public_url}/{page}/{self._signer.sign(claim)}"


class _SurveyUrl:
    """Makes the links of surveys while a template is rendered: `survey_url("nps")`, `survey_url("nps", 9)`."""

    def __init__(self, signer: TokenSigner, prefix: str, message: Message, language: str) -> None:
        self._signer = signer
        self._prefix = prefix
        self._message = message
        self._language = language

    def of(self, question: object, score: object = None) -> str:
        """Return the link to a question; with a score the page has it ticked. Raises `RenderFailed`."""
        if not isinstance(question, str) or not 0 < len(question) <= _LONGEST_QUESTION:
            raise RenderFailed("survey_url wants the question's id in quotes", code="template_value")
        if score is not None and (isinstance(score, bool) or not isinstance(score, int) or not 0 <= score <= 10):
            raise RenderFailed("a score of survey_url is a whole number from 0 to 10", code="template_value")
        message = self._message
        token = self._signer.sign(SurveyClaim(message.customer, message.channel, message.message_id, question, self._language))
        return f"{self._prefix}{token}" + ("" if score is None else f"?score={score}")


def unsubscribe_headers(message: Message, url: str) -> Mapping[str, str]:
    """Return the header fields of RFC 2369, RFC 8058 and RFC 2919; none for a service message, which is no mailing."""
    if message.kind is Kind.SERVICE:
        return {}
    return {
        "List-Unsubscribe": f"<{url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "List-Id": f"<{message.journey}.povod>",
    }


def check_template(files: Mapping[str, str]) -> list[TemplateMistake]:
    """Return one mistake for every file of a template that can't be compiled."""
    try:
        bundle = TemplateBundle(files)
    except RenderFailed as error:
        return [TemplateMistake(max(files, key=lambda name: len(files[name])), 1, error.message)]
    return [wrong for name in sorted(files) if (wrong := bundle.check_file(name))]
