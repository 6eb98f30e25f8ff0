"""Foreign names become ours, by files that are true to their schema and to our types."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from services.contracts.aliases import Alias, Aliases, Vocabulary, load_aliases, read_vocabulary
from services.contracts.catalogue import Catalogue, load_catalogue
from services.contracts.resources import resource

FOLDER = resource("schemas") / "aliases"
FILES = sorted(FOLDER.glob("*.yaml"))
COMMON = frozenset({"signup_type", "signup_method"})
"""New names that no schema lists: traits of whoever has registered."""


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """Return the packaged catalogue."""
    return load_catalogue()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_file_obeys_its_schema(file: Path) -> None:
    """Every file of aliases passes the JSON Schema that lies beside it."""
    schema = json.loads((FOLDER / "alias.schema.json").read_bytes())
    jsonschema_rs.Draft202012Validator(schema).validate(yaml.safe_load(file.read_bytes()))


@pytest.mark.parametrize("names", [{}, {"Order Completed": "Order Completed"}, {"purchase": {"type": "order.completed", "renames": {}}}])
def test_schema_refuses_a_wrong_file(names: dict[str, Any]) -> None:
    """No names, a type that is none of ours and a misspelt key are refused."""
    schema = json.loads((FOLDER / "alias.schema.json").read_bytes())
    document = {"about": "a test", "source": "https://shop.example", "names": names}
    assert not jsonschema_rs.Draft202012Validator(schema).is_valid(document)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_targets_are_ours(file: Path, catalogue: Catalogue) -> None:
    """Every name leads to a type that has a schema, every renamed property to one of its fields, and no two to the same one."""
    for name, target in read_vocabulary(file).names.items():
        alias = Alias(target) if isinstance(target, str) else target
        assert catalogue.is_known(alias.type), name
        assert set(alias.rename.values()) <= catalogue.fields(alias.type) | COMMON | {"products"}, name
        assert len(set(alias.rename.values())) == len(alias.rename), name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_product_fields_are_ours(file: Path, catalogue: Catalogue) -> None:
    """What the fields of a product are renamed to are fields that a product of ours has."""
    assert set(read_vocabulary(file).product.values()) <= catalogue.fields("product.viewed")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Product Added", "product.added"),
        ("product added", "product.added"),
        (" Completed Order ", "order.completed"),
        ("Signed Up", "customer.registered"),
        ("Order Updated", "Order Updated"),
        ("order.completed", "order.completed"),
    ],
)
def test_name_is_found(name: str, expected: str) -> None:
    """A name is found whatever its case; an unknown one is taken as it is."""
    assert load_aliases("segment", "b2b").translate(name, {"a": 1}) == (expected, {"a": 1})


def test_properties_are_renamed() -> None:
    """Properties and those of products get our names, the others stay, in the same order."""
    data = {"orderId": 7, "total": 9.5, "products": [{"id": "p1", "price": 9.5}, "not a product"]}
    expected = {"order_id": 7, "total": 9.5, "products": [{"product_id": "p1", "price": 9.5}, "not a product"]}
    assert load_aliases("segment").translate("Completed Order", data) == ("order.completed", expected)


def test_taken_name_is_left() -> None:
    """A property is never renamed over one that is there already."""
    data = {"orderId": 7, "order_id": "o-7"}
    assert load_aliases("segment").translate("Completed Order", data) == ("order.completed", data)


def test_single_product_is_lifted() -> None:
    """GA4 lists even a single product: its fields come beside the event's own, which win; the list stays."""
    data = {"currency": "RUB", "items": [{"item_id": "p1", "item_name": "Tea", "price": 2, "currency": "USD"}, {"item_id": "p2"}]}
    event_type, found = load_aliases("ga4").translate("add_to_cart", data)
    products = [{"product_id": "p1", "name": "Tea", "price": 2, "currency": "USD"}, {"product_id": "p2"}]
    assert event_type == "product.added"
    assert found == {"product_id": "p1", "name": "Tea", "price": 2, "currency": "RUB", "products": products}


@pytest.mark.parametrize("data", [None, [], "text", 7, {"items": 3}, {"items": []}, {"items": [3]}, {"items": {"item_id": 1}}])
def test_odd_data_passes(data: Any) -> None:
    """Whatever is no object, or holds no list of products, passes as it is, but for the names."""
    event_type, found = load_aliases("ga4").translate("add_to_cart", data)
    assert event_type == "product.added"
    assert found == ({"products": data["items"]} if isinstance(data, dict) else data)


def test_first_vocabulary_wins() -> None:
    """Of equal names in two vocabularies the first one's is taken."""
    first = Vocabulary(about="a", source="https://a.example", names={"Sale": "order.completed"})
    second = Vocabulary(about="b", source="https://b.example", names={"sale": "order.refunded"})
    assert Aliases(first, second).translate("SALE", {}) == ("order.completed", {})


def test_given_properties_are_left_alone() -> None:
    """Translating changes nothing of what was given."""
    data = {"items": [{"item_id": "p1"}]}
    load_aliases("ga4").translate("view_item", data)
    assert data == {"items": [{"item_id": "p1"}]}
