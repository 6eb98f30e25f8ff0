"""The AsyncAPI document is one, says what the registry says, and leads nowhere that is not there."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from services.contracts.catalogue import load_catalogue
from services.contracts.resources import resource
from services.contracts.topics import load_topics
from tests.contract.asyncapi import asyncapi_document

SCHEMAS = resource("schemas")
OFFICIAL = Path(__file__).parents[1] / "fixtures" / "asyncapi" / "3.0.0.json.gz"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """Return the document as it lies in `schemas/`."""
    found: dict[str, Any] = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def official() -> jsonschema_rs.Draft7Validator:
    """Return the validator of AsyncAPI 3.0.0 by its authors."""
    return jsonschema_rs.Draft7Validator(json.loads(gzip.decompress(OFFICIAL.read_bytes())))


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(reference := node.get("$ref"), str):
            yield reference
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _at(document: Any, pointer: str) -> Any:
    for step in pointer.removeprefix("#/").split("/"):
        document = document[step]
    return document


def test_it_is_an_asyncapi_document(document: dict[str, Any], official: jsonschema_rs.Draft7Validator) -> None:
    """The official schema accepts it, and would not accept a misspelt key or a wrong action."""
    assert [f"{'/'.join(map(str, error.instance_path))}: {error.message[:200]}" for error in official.iter_errors(document)] == []
    wrong = asyncapi_document()
    wrong["operations"]["rules.reads.povod.events"]["action"] = "read"
    assert not official.is_valid(wrong)
    assert not official.is_valid({**asyncapi_document(), "chanels": {}})


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """References inside are to what is there, those outside to files beside the document."""
    references = set(_references(document))
    assert len(references) > 50
    for reference in references:
        if reference.startswith("#/"):
            assert _at(document, reference) is not None
        else:
            assert (SCHEMAS / reference).is_file(), reference


def test_every_topic_is_there(document: dict[str, Any]) -> None:
    """Each topic has its partitions, its retention, its writers and its reader."""
    channels, operations = document["channels"], document["operations"]
    assert list(channels) == [topic.name for topic in load_topics()]
    for topic in load_topics():
        kafka = channels[topic.name]["bindings"]["kafka"]
        assert (kafka["topic"], kafka["partitions"]) == (topic.name, topic.partitions)
        assert kafka["topicConfiguration"]["retention.ms"] == topic.retention.total_seconds() * 1000
        there = {name: operations[name]["action"] for name in operations if operations[name]["channel"]["$ref"].endswith(f"/{topic.name}")}
        expected = {f"{writer}.writes.{topic.name}": "send" for writer in topic.writers}
        assert there == {**expected, f"{topic.owner}.reads.{topic.name}": "receive"}


def test_every_known_event_is_a_message(document: dict[str, Any]) -> None:
    """Each type of the catalogue has its message on the events topic; those that only Povod writes are marked."""
    messages = document["channels"]["povod.events"]["messages"]
    assert set(messages) == {"event", *load_catalogue().types()}
    reserved = {name for name, message in document["components"]["messages"].items() if "tags" in message}
    assert reserved == {name for name in load_catalogue().types() if name.startswith(("message.", "povod."))}


def test_examples_are_valid(document: dict[str, Any]) -> None:
    """An example of a message passes its schema."""
    shown = {name: message["examples"] for name, message in document["components"]["messages"].items() if "examples" in message}
    assert set(shown) == {"event", "message", "recall"}
    for name, examples in shown.items():
        schema = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
        assert all(jsonschema_rs.is_valid(schema, example["payload"]) for example in examples)
