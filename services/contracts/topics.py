"""The topic registry: names, partition counts, retention, owners - data, read from `schemas/topics/*.yaml`."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from services.contracts.durations import parse_duration
from services.contracts.errors import Fatal
from services.contracts.partitioning import BUCKETS
from services.contracts.resources import resource

EVENTS = "povod.events"
DISPATCH = "povod.dispatch"
RECEIPTS = "povod.receipts"
DEAD_LETTERS = ".dlq"
"""What a topic's dead letters' topic is called more."""
REJECTED = EVENTS + DEAD_LETTERS
"""Events that a door rejected, or that rules gave up."""


class Topic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One topic.

    `owner` reads it and decides its form, `writers` append to it (folders of `services`). `key` says what its records are keyed by;
    dead letters keep the key of their `source`. A value matches one of `schemas` (files below `schemas/`); where there are none, the
    bytes are somebody else's.
    """

    name: str
    partitions: int
    retention: timedelta
    owner: str
    writers: tuple[str, ...]
    key: Literal["customer", "provider_message", "source"]
    schemas: tuple[str, ...]


def load_topics(folder: Path | None = None) -> Sequence[Topic]:
    """Return the topics of a folder (default: the packaged ones), by name.

    Raises `Fatal` naming the file where one is wrong: an unknown or missing key, a partition count that is no power of two up to
    1,024, a name that is not the file's.
    """
    files = (folder or resource("schemas") / "topics").glob("*.yaml")
    return sorted((_load(file) for file in files), key=lambda topic: topic.name)


def partitions_of(topics: Sequence[Topic]) -> Mapping[str, int]:
    """Return name: partition count."""
    return {topic.name: topic.partitions for topic in topics}


def _load(file: Path) -> Topic:
    try:
        topic = msgspec.convert(_read(file), Topic, builtin_types=(timedelta,))
    except (msgspec.ValidationError, yaml.YAMLError, ValueError) as error:
        raise Fatal(f"{file}: {error}") from error
    if topic.name != file.stem:
        raise Fatal(f"{file}: the topic is called {topic.name!r}, the file must be too")
    if not 1 <= topic.partitions <= BUCKETS or topic.partitions & (topic.partitions - 1):
        raise Fatal(f"{file}: partitions: {topic.partitions} is no power of two from 1 to {BUCKETS}")
    return topic


def _read(file: Path) -> Any:
    raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    if isinstance(raw, dict) and isinstance(raw.get("retention"), str):
        raw["retention"] = parse_duration(raw["retention"])
    return raw
