"""The catalogue of known event types."""

import json
from pathlib import Path

import pytest

from services.contracts.catalogue import Catalogue, load_catalogue
from services.contracts.errors import InvalidEvent

PRICE = {
    "title": "Product added",
    "description": "Something was put into the cart.",
    "x-povod-activity": True,
    "type": "object",
    "properties": {"price": {"type": ["number", "null"], "minimum": 0}, "a/b~c": {"type": "string"}},
}
SYNCED = {"description": "Known from elsewhere.", "x-povod-activity": False, "type": "object"}


@pytest.fixture
def catalogue() -> Catalogue:
    """Return a catalogue of two types."""
    return Catalogue({"product.added": PRICE, "customer.synced": SYNCED})


def test_known_types_are_described(catalogue: Catalogue) -> None:
    """A known type tells its fields and its sentence; an unknown one tells nothing."""
    assert list(catalogue.types()) == ["customer.synced", "product.added"]
    assert catalogue.is_known("product.added")
    assert catalogue.fields("product.added") == {"price", "a/b~c"}
    assert catalogue.describe("product.added") == "Something was put into the cart."
    assert not catalogue.is_known("product.eaten")
    assert catalogue.fields("product.eaten") == frozenset()
    assert catalogue.describe("product.eaten") == ""


@pytest.mark.parametrize(
    ("event_type", "counts"),
    [
        ("product.added", True),
        ("customer.synced", False),
        ("shop.made_up", True),
        ("message.made_up", False),
        ("povod.made_up", False),
    ],
)
def test_activity(catalogue: Catalogue, event_type: str, counts: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Known types say whether they count as activity; unknown ones do, unless they are Povod's own."""
    assert catalogue.is_activity(event_type) is counts


@pytest.mark.parametrize("data", [{}, {"price": 1}, {"price": None}, {"price": 1.5, "own": [1]}])
def test_good_data_passes(catalogue: Catalogue, data: dict[str, object]) -> None:
    """Data that its schema accepts passes; fields that the schema does not know do not matter."""
    catalogue.validate("product.added", data)


def test_data_of_unknown_types_passes(catalogue: Catalogue) -> None:
    """An unknown type is not validated."""
    catalogue.validate("product.eaten", {"price": "much"})


@pytest.mark.parametrize(
    ("data", "pointer"), [({"price": "much"}, "/data/price"), ({"price": -1}, "/data/price"), ({"a/b~c": 5}, "/data/a~1b~0c")]
)
def test_bad_data_is_refused_at_its_place(catalogue: Catalogue, data: dict[str, object], pointer: str) -> None:
    """The refusal names the type and points (RFC 6901) at the field."""
    with pytest.raises(InvalidEvent, match=r"^product\.added: ") as raised:
        catalogue.validate("product.added", data)
    assert (raised.value.code, raised.value.pointer) == ("schema", pointer)


def test_messages_are_short(catalogue: Catalogue) -> None:
    """A refusal does not repeat a megabyte of what was posted."""
    with pytest.raises(InvalidEvent) as raised:
        catalogue.validate("product.added", {"price": "x" * 1_000_000})
    assert len(raised.value.message) < 400


def test_packaged_schemas_are_loaded() -> None:
    """Without a folder the packaged schemas are read."""
    catalogue = load_catalogue()
    assert catalogue.is_known("order.completed")
    assert "session_id" in catalogue.fields("product.added")


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    """A project may have schemas of its own; the file's name is the type."""
    (tmp_path / "book.read.json").write_text(json.dumps(SYNCED), encoding="utf-8")
    assert list(load_catalogue(tmp_path).types()) == ["book.read"]
