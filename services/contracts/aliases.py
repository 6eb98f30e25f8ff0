"""What other vocabularies call our events, as data: e-commerce v2, the B2B spec, PostHog and GA4 (`schemas/aliases/*.yaml`).

    names:
      Product Added: product.added
      purchase: {type: order.completed, rename: {transaction_id: order_id}}

For doors of other people's clients and for files; our own door takes names as they are. A name is found whatever its case. A property
is renamed only where our schema of the type calls it otherwise, and never over one that is there already; all others stay as they came.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml

from services.contracts.resources import resource

PRODUCTS = "products"
"""What our schemas call a list of products."""


class Alias(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Our type for a foreign name. `rename` names its properties; `lift` puts the first product's fields beside them.

    For clients that list even a single product, where our type speaks of one: the list stays, for whoever added several at once.
    """

    type: str
    rename: dict[str, str] = {}
    lift: bool = False


class Vocabulary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file: whose names these are, where they are explained, and what its products' fields are called."""

    about: str
    source: str
    names: dict[str, str | Alias]
    product: dict[str, str] = {}


class _Entry(msgspec.Struct, frozen=True):
    alias: Alias
    product: dict[str, str]


class Aliases:
    """The names of one or several vocabularies; of equal names the first vocabulary's."""

    def __init__(self, *vocabularies: Vocabulary) -> None:
        self._entries: dict[str, _Entry] = {}
        for vocabulary in vocabularies:
            for name, target in vocabulary.names.items():
                entry = _Entry(Alias(target) if isinstance(target, str) else target, vocabulary.product)
                entry = self._entries.setdefault(_folded(name), entry)
                self._entries.setdefault(name, entry)

    def translate(self, name: str, data: Any) -> tuple[str, Any]:
        """Return our type and `data` with our names; both as they are where the name is not known, `data` where it is no object."""
        entry = self._entries.get(name) or self._entries.get(_folded(name))
        if entry is None:
            return name, data
        return entry.alias.type, _translated(data, entry) if data and isinstance(data, dict) else data


@cache
def load_aliases(*names: str) -> Aliases:
    """Return the packaged vocabularies of these names, read at the first call; raises `FileNotFoundError` for a name that is none."""
    return Aliases(*(read_vocabulary(resource("schemas") / "aliases" / f"{name}.yaml") for name in names))


def read_vocabulary(file: Path) -> Vocabulary:
    """Read one file; raises `msgspec.ValidationError` where it is not of the shape: the packaged ones are."""
    return msgspec.convert(yaml.safe_load(file.read_bytes()), Vocabulary)


def _folded(name: str) -> str:
    return name.strip().lower()


def _translated(data: dict[str, Any], entry: _Entry) -> dict[str, Any]:
    alias, product = entry.alias, entry.product
    found = _renamed(data, alias.rename) if alias.rename else data
    products = found.get(PRODUCTS)
    if not products or not isinstance(products, list):
        return found
    if product:
        products = [_renamed(each, product) if isinstance(each, dict) else each for each in products]
        found = {**found, PRODUCTS: products}
    return {**products[0], **found} if alias.lift and isinstance(products[0], dict) else found


def _renamed(data: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the same under our names, in the same order; a name that is taken is left to who has it."""
    moving = {old: new for old, new in names.items() if old in data and new not in data}
    return {moving.get(name, name): value for name, value in data.items()} if moving else data
