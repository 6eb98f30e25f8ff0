"""Links to pages that a template can show: preferences, surveys, confirmation; and topics that stop messages."""

from collections.abc import Mapping

import pytest

from services.consent.claims import ConfirmationClaim, PreferencesClaim, SurveyClaim
from services.consent.ledger import ALL_CHANNELS, Consent, ConsentState
from services.consent.tokens import TokenSigner
from services.contracts.errors import RenderFailed
from services.contracts.ids import Channel, ContentHash, CustomerId, MessageId
from services.contracts.messages import Kind
from services.dispatch.bundle import TemplateBundle
from services.dispatch.facts import has_unsubscribed
from services.dispatch.rendering import Renderer
from services.runtime.clock import FrozenClock
from services.runtime.settings import LinkSettings
from tests.dispatch_builders import EMAIL, START, make_message

SIGNER = TokenSigner(["a secret that is long enough for tests"])
ANN, MESSAGE = CustomerId("ann"), MessageId("m-1")


class OneTemplate:
    """A store that has one template."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._bundle = TemplateBundle(files)

    async def get(self, version: ContentHash | None) -> TemplateBundle:  # noqa: ARG002 - the port's signature
        """Return it."""
        return self._bundle


async def shown(source: str, *, part: str = "body.txt") -> str:
    """Render a Russian mail of one part."""
    templates = OneTemplate({f"email/ru/{part}": source, "email/ru/_piece.txt": "{{ preferences_url }}"})
    renderer = Renderer(templates, SIGNER, "https://go.shop.example/", LinkSettings(opens=()), FrozenClock(START))
    message = make_message("m-1", language="ru")
    return (await renderer.render(message)).parts[part].strip()


async def test_preferences() -> None:
    """`preferences_url` leads to the customer's page in the message's language, from a part that is included too."""
    for source in ("{{ preferences_url }}", "{% include 'email/ru/_piece.txt' %}"):
        prefix, _, token = (await shown(source)).rpartition("/")
        assert prefix == "https://go.shop.example/p"
        assert SIGNER.read(token, PreferencesClaim) == PreferencesClaim(ANN, EMAIL, MESSAGE, "ru")


async def test_confirmation() -> None:
    """`confirm_url` confirms the address to which the message goes, and says when it was asked for: when the message was decided."""
    prefix, _, token = (await shown("{{ confirm_url }}")).rpartition("/")
    assert prefix == "https://go.shop.example/d"
    assert SIGNER.read(token, ConfirmationClaim) == ConfirmationClaim(
        ANN, EMAIL, "ann@shop.example", MESSAGE, "ru", make_message("m-1").decided_at
    )


async def test_surveys() -> None:
    """`survey_url` names the question, and a score that the page is to have ticked; in HTML it is a link that is left alone."""
    html = await shown('<a href="{{ survey_url("nps", 9) }}">9</a>', part="body.html")
    token, _, query = html.removeprefix('<a href="https://go.shop.example/s/').partition('"')[0].partition("?")
    assert SIGNER.read(token, SurveyClaim) == SurveyClaim(ANN, EMAIL, MESSAGE, "nps", "ru")
    assert query == "score=9"
    assert "?" not in await shown("{{ survey_url('nps') }}")


@pytest.mark.parametrize(
    "source",
    [
        "{{ survey_url }}", "{{ survey_url() }}", "{{ survey_url('') }}", "{{ survey_url(7) }}", "{{ survey_url('x' ~ 'y' * 200) }}",
        "{{ survey_url('nps', 11) }}", "{{ survey_url('nps', 'nine') }}", "{{ survey_url('nps', true) }}", "{{ survey_url.__self__ }}",
        "{{ survey_url.__func__.__globals__ }}", "{{ survey_url['_signer'] }}",
    ],
)  # fmt: skip
async def test_a_wrong_use_fails_the_message(source: str) -> None:
    """A question that is none, a score off the scale, a look behind the function: refused, and nothing of ours is shown."""
    with pytest.raises(RenderFailed):
        await shown(source)


async def test_many_links_spend_the_budget() -> None:
    """A template that makes links without end is stopped as any other is."""
    with pytest.raises(RenderFailed):
        await shown("{% for a in range(999) %}{% for b in range(999) %}{{ survey_url('nps') }}{% endfor %}{% endfor %}")


@pytest.mark.parametrize(
    ("topic", "kind", "stopped"),
    [("news", Kind.REGULAR, True), ("news", Kind.SERVICE, False), ("sales", Kind.REGULAR, False), ("all", Kind.SERVICE, True)],
)
def test_a_topic_left_stops_its_messages(topic: str, kind: Kind, *, stopped: bool) -> None:
    """A message that carries the topic as a tag is refused on every channel, but for service messages."""
    left: dict[tuple[Channel, str], Consent] = {(ALL_CHANNELS, topic): Consent(ConsentState.UNSUBSCRIBED, START)}
    message = make_message(kind=kind, tags=("news",))
    assert has_unsubscribed(message, left) is stopped
