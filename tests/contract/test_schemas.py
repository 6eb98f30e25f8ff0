"""The files in `schemas/` equal the code, and each rule in them accepts and rejects what it should."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema  # type: ignore[import-untyped]  # has no stubs of its own
import jsonschema_rs
import msgspec
import pytest

from services.contracts.catalogue import Catalogue, load_catalogue
from services.contracts.errors import InvalidEvent
from services.contracts.outcomes import OutcomeType
from services.contracts.resources import resource
from tests.contract.documents import CONTRACTS, documents

SCHEMAS = resource("schemas")
EXAMPLES = SCHEMAS / "examples"
NAMES = [*CONTRACTS, *(f"events/{path.stem}" for path in sorted((SCHEMAS / "events").glob("*.json")))]
EVENTS = [name.removeprefix("events/") for name in NAMES if name.startswith("events/")]
KEYWORDS = {
    *("$schema", "$id", "$ref", "$defs", "title", "description", "type", "properties", "required", "items", "enum", "anyOf"),
    *("prefixItems", "minItems", "maxItems", "minimum", "maximum", "minLength", "maxLength", "additionalProperties", "default", "format"),
    "x-povod-activity",
}


class Example(NamedTuple):
    """One value beside a schema; `keyword` and `pointer` say which rule refuses it where (empty: it is accepted)."""

    schema: str
    value: Any
    keyword: str = ""
    pointer: str = ""


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """Return the packaged catalogue."""
    return load_catalogue()


def _load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _accepted() -> list[Example]:
    return [Example(name, value) for name in NAMES for value in _load(EXAMPLES / f"{name}.json")["accepted"]]


def _rejected() -> list[Example]:
    return [
        Example(name, found["value"], found["keyword"], found["pointer"])
        for name in NAMES
        for found in _load(EXAMPLES / f"{name}.json")["rejected"]
    ]


def _keywords(schema: Any) -> Iterator[str]:
    """Yield every keyword that a schema uses, at any depth; names of properties and definitions are none."""
    if not isinstance(schema, dict):
        return
    for keyword, value in schema.items():
        yield keyword
        below = value.values() if keyword in {"properties", "$defs"} else value if isinstance(value, list) else [value]
        if keyword not in {"default", "enum", "required"}:
            for each in below:
                yield from _keywords(each)


@pytest.mark.parametrize("name", list(documents()))
def test_document_equals_the_code(name: str) -> None:
    """A file made from code is what the code says now; `python -m tests.contract.documents` renews it."""
    assert documents()[name] == (SCHEMAS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_schema_is_one(name: str) -> None:
    """Every schema is valid JSON Schema 2020-12 and uses no keyword that was misspelt."""
    schema = _load(SCHEMAS / f"{name}.json")
    jsonschema.Draft202012Validator.check_schema(schema)
    assert set(_keywords(schema)) <= KEYWORDS
    assert schema["$id"] == f"urn:povod:schemas:{name.replace('/', ':')}"


@pytest.mark.parametrize("name", NAMES)
def test_schema_has_examples(name: str) -> None:
    """Every schema has examples of both kinds, and no example file lacks its schema."""
    examples = _load(EXAMPLES / f"{name}.json")
    assert len(examples["accepted"]) > 0
    assert len(examples["rejected"]) > 1


def test_example_files_belong_to_schemas() -> None:
    """No file of examples is left over from a schema that is gone."""
    assert {path.relative_to(EXAMPLES).as_posix().removesuffix(".json") for path in EXAMPLES.rglob("*.json")} == set(NAMES)


@pytest.mark.parametrize("example", _accepted(), ids=lambda example: example.schema)
def test_accepted_example_passes(example: Example) -> None:
    """An accepted example passes, by two independent validators."""
    schema = _load(SCHEMAS / f"{example.schema}.json")
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(example.value)) == []
    assert jsonschema_rs.Draft202012Validator(schema).is_valid(example.value)


@pytest.mark.parametrize("example", _rejected(), ids=lambda example: f"{example.schema}-{example.keyword}-{example.pointer}")
def test_rejected_example_fails_for_its_reason(example: Example) -> None:
    """A rejected example fails in the rule and at the place that it names, and in no other."""
    schema = _load(SCHEMAS / f"{example.schema}.json")
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors(example.value))
    found = [(str(error.validator), "".join(f"/{step}" for step in error.absolute_path)) for error in errors]
    assert found == [(example.keyword, example.pointer)]
    assert not jsonschema_rs.Draft202012Validator(schema).is_valid(example.value)


@pytest.mark.parametrize("example", [each for each in _accepted() if each.schema in CONTRACTS], ids=lambda example: example.schema)
def test_code_takes_what_its_schema_accepts(example: Example) -> None:
    """The decoder of a contract takes what its schema accepts, and gives the same back."""
    contract = CONTRACTS[example.schema]
    decoded = msgspec.json.decode(msgspec.json.encode(example.value), type=contract)
    assert msgspec.json.decode(msgspec.json.encode(decoded)).items() >= example.value.items()


@pytest.mark.parametrize("example", [each for each in _rejected() if each.schema in CONTRACTS], ids=lambda example: example.schema)
def test_code_refuses_what_its_schema_rejects(example: Example) -> None:
    """The decoder of a contract refuses what its schema rejects; only a missing tag is left to the union of commands."""
    contract = CONTRACTS[example.schema]
    if example.keyword == "required" and "command" not in example.value and example.schema == "message":
        return
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(example.value), type=contract)


@pytest.mark.parametrize("example", [each for each in _rejected() if each.schema.startswith("events/")], ids=lambda example: example.schema)
def test_catalogue_names_the_place(example: Example, catalogue: Catalogue) -> None:
    """The catalogue refuses a rejected event with a pointer to the field below `/data`."""
    with pytest.raises(InvalidEvent) as raised:
        catalogue.validate(example.schema.removeprefix("events/"), example.value)
    assert raised.value.code == "schema"
    assert raised.value.pointer == f"/data{example.pointer}"


@pytest.mark.parametrize("name", EVENTS)
def test_event_schema_says_what_others_need(name: str) -> None:
    """An event's schema has a title, a sentence, its activity, and a description for every field; it allows fields of the shop's own."""
    schema = _load(SCHEMAS / "events" / f"{name}.json")
    assert schema["title"]
    assert schema["description"].endswith(".")
    assert isinstance(schema["x-povod-activity"], bool)
    assert all("description" in field for field in schema["properties"].values())
    assert schema.get("additionalProperties", True) is True


def test_every_outcome_has_a_schema(catalogue: Catalogue) -> None:
    """Every outcome that dispatch reports is a known type, and none but the customer's own acts counts as activity."""
    assert all(catalogue.is_known(outcome) for outcome in OutcomeType)
    assert [outcome for outcome in OutcomeType if catalogue.is_activity(outcome)] == []
    assert [name for name in catalogue.types() if name.startswith("message.") and catalogue.is_activity(name)] == [
        "message.clicked",
        "message.replied",
    ]
