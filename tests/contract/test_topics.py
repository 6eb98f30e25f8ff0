"""The topic registry: every topic has its file, its owner and its dead letters; a wrong file is refused."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

import services
from services.contracts.errors import Fatal
from services.contracts.resources import resource
from services.contracts.topics import DEAD_LETTERS, DISPATCH, EVENTS, RECEIPTS, load_topics, partitions_of

SERVICES = {folder.name for folder in Path(services.__file__).parent.iterdir() if (folder / "__init__.py").exists()}
MAIN = {EVENTS, DISPATCH, RECEIPTS}
GOOD = {
    "name": "povod.events",
    "partitions": 8,
    "retention": "14d",
    "owner": "rules",
    "writers": ["ingest"],
    "key": "customer",
    "schemas": [],
}


def test_the_topics_are_those_that_the_code_names() -> None:
    """The registry holds each topic that the code uses with its dead letters' topic, and no other."""
    assert {topic.name for topic in load_topics()} == MAIN | {name + DEAD_LETTERS for name in MAIN}


def test_every_topic_is_owned_and_written_by_services_that_exist() -> None:
    """No orphans: owner and writers are folders of `services`, and somebody writes."""
    for topic in load_topics():
        assert {topic.owner, *topic.writers} <= SERVICES
        assert topic.writers


def test_every_named_schema_exists_and_is_json() -> None:
    """A topic's schemas are files below `schemas/`, and our own topics have some."""
    named = {topic.name: topic.schemas for topic in load_topics()}
    assert (named[EVENTS], named[DISPATCH]) == (("event.json",), ("message.json", "recall.json"))
    assert all(json.loads((resource("schemas") / name).read_text()) for names in named.values() for name in names)


def test_customers_topics_agree_on_partitions() -> None:
    """Topics keyed by customer have equal counts, so that one customer's events and commands have one partition number."""
    assert {topic.partitions for topic in load_topics() if topic.key == "customer"} == {8}


def test_dead_letters_outlive_what_they_came_from() -> None:
    """There is time to look at a dead letter: it is kept longer than its topic's records."""
    kept = {topic.name: topic.retention for topic in load_topics()}
    assert all(kept[name + DEAD_LETTERS] > kept[name] for name in MAIN)


def test_partitions_of_gives_counts_by_name() -> None:
    """What adapters are given is name and count."""
    assert partitions_of(load_topics())[EVENTS] == 8


def test_a_good_file_is_read(tmp_path: Path) -> None:
    """Every field arrives in its type."""
    _write(tmp_path, GOOD)
    (topic,) = load_topics(tmp_path)
    assert (topic.name, topic.partitions, topic.retention) == ("povod.events", 8, timedelta(days=14))
    assert (topic.owner, topic.writers, topic.key, topic.schemas) == ("rules", ("ingest",), "customer", ())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"retension": "14d"}, "retension"),
        ({"partitions": 12}, "power of two"),
        ({"partitions": 0}, "power of two"),
        ({"partitions": 2048}, "power of two"),
        ({"partitions": "8"}, "partitions"),
        ({"partitions": True}, "partitions"),
        ({"retention": "14 days"}, "no duration"),
        ({"retention": 14}, "retention"),
        ({"name": "povod.event"}, "the file must be too"),
        ({"writers": "ingest"}, "writers"),
        ({"key": "customers"}, "customers"),
        ({"owner": None}, "owner"),
    ],
)
def test_a_wrong_value_is_refused(tmp_path: Path, change: dict[str, object], complaint: str) -> None:
    """A misspelt key or an impossible value is an error that names the file and what is wrong."""
    _write(tmp_path, GOOD | change)
    with pytest.raises(Fatal, match=complaint) as error:
        load_topics(tmp_path)
    assert "povod.events.yaml" in str(error.value)


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_a_missing_key_is_refused(tmp_path: Path, missing: str) -> None:
    """Nothing has a default: every file says all of it."""
    _write(tmp_path, {key: value for key, value in GOOD.items() if key != missing})
    with pytest.raises(Fatal, match=missing):
        load_topics(tmp_path)


@pytest.mark.parametrize("text", ["", "- a\n", "name: [\n", "name: povod.events\nname: povod.events\n: :"])
def test_what_is_no_topic_is_refused(tmp_path: Path, text: str) -> None:
    """An empty file, a list and broken YAML are errors that name the file."""
    (tmp_path / "povod.events.yaml").write_text(text)
    with pytest.raises(Fatal, match=r"povod\.events\.yaml"):
        load_topics(tmp_path)


def _write(folder: Path, topic: dict[str, object]) -> None:
    (folder / "povod.events.yaml").write_text(yaml.safe_dump(topic))
