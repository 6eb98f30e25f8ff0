"""The document's stored form and its timers."""

import msgspec
import pytest

from services.contracts.errors import DocumentTooNew, Rejected
from services.rules.core.document import SCHEMA_VERSION, decode_document, encode_document, new_document, next_due_at
from tests.builders import CUSTOMER, DAY, HOUR, NOON, exit_on, make_document, make_journey, make_ruleset, reentry, send, silence, wait
from tests.story import Story


def test_a_new_document_is_small() -> None:
    """Defaults are left out: of an unknown customer only the name and the version are stored."""
    assert encode_document(new_document(CUSTOMER)) == b'{"customer":"c-1","schema_version":1}'


def test_a_lived_in_document_comes_back_equal() -> None:
    """What was stored is what is read, and it encodes to the same bytes again."""
    rules = make_ruleset(
        make_journey("cart", wait(), send("steps/1"), send("steps/2"), key="event.cart", reentry=reentry("never"), exit_on=(exit_on(),)),
        make_journey("back", trigger=silence(14 * DAY)),
    )
    story = Story(rules)
    story.tell("customer.registered", {"email": "a@b", "name": "Анна", "consent": {"email": True}})
    story.tell("order.completed", {"total": 3.5})
    story.tell("product.added", {"cart": "x", "items": [{"sku": 1}]}, at=NOON + HOUR)
    story.tell("product.added", {"cart": "y"}, at=NOON + 3 * HOUR)
    stored = encode_document(story.document)
    assert decode_document(stored) == story.document
    assert encode_document(decode_document(stored.decode())) == stored


def test_a_newer_version_is_refused() -> None:
    """A document of a later release stops the worker, even where its fields changed shape."""
    value = msgspec.json.encode({"customer": 5, "schema_version": SCHEMA_VERSION + 1, "traits": "moved"})
    with pytest.raises(DocumentTooNew, match="schema version 3, this release knows 2"):
        decode_document(value)


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"customer":"c"}', b'{"customer":"c","schema_version":1,"seq":"x"}', b"[" * 5_000])
def test_what_is_no_document_is_rejected(value: bytes) -> None:
    """Broken bytes are a fault of the data, told as such."""
    with pytest.raises(Rejected):
        decode_document(value)


def test_the_earliest_timer_counts() -> None:
    """`next_due_at` is the minimum over stage, silence, waits and deferred messages."""
    document = make_document(stage_due_at=NOON + 3 * DAY, silence_due_at=NOON + 2 * DAY)
    assert next_due_at(document) == NOON + 2 * DAY
    assert next_due_at(new_document(CUSTOMER)) is None
