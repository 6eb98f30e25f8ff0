"""From a message to what its channel sends: the template's parts in the customer's language, and the headers that go with them."""

from collections.abc import Mapping

from services.consent.claims import UnsubscribeClaim
from services.consent.tokens import TokenSigner
from services.contracts.errors import RenderFailed
from services.contracts.messages import Kind, Message
from services.contracts.templates import TemplateMistake
from services.contracts.trace import parse_traceparent
from services.dispatch.bundle import TemplateBundle
from services.dispatch.channels.port import Rendered
from services.dispatch.templates import Templates


class Renderer:
    """Renders messages; `public_url` is where ingest serves the unsubscribe page."""

    def __init__(self, templates: Templates, signer: TokenSigner, public_url: str) -> None:
        self._templates = templates
        self._signer = signer
        self._public_url = public_url.rstrip("/")

    async def render(self, message: Message) -> Rendered:
        """Return the message ready to go. Raises `RenderFailed` where template and context do not go together, `DatabaseUnavailable`."""
        bundle = await self._templates.get(message.template_version)
        language = bundle.language_for(message.channel, message.language)
        url = self._unsubscribe_url(message)
        parts = bundle.render(message.channel, language, {**message.context, "language": language, "unsubscribe_url": url})
        return Rendered(
            message_id=message.message_id,
            recipient=message.recipient,
            language=language,
            parts=parts,
            headers=unsubscribe_headers(message, url),
            traceparent=message.traceparent if parse_traceparent(message.traceparent) else None,
        )

    def _unsubscribe_url(self, message: Message) -> str:
        token = self._signer.sign(UnsubscribeClaim(message.customer, message.channel, message.message_id))
        return f"{self._public_url}/u/{token}"


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
