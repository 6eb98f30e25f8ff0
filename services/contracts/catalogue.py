"""The catalogue of known event types: what `schemas/events/*.json` says of them.

Any type may be posted; the known ones are validated. Loaded once by whoever composes a process, never at import.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs

from services.contracts.errors import InvalidEvent
from services.contracts.events import RESERVED_PREFIXES
from services.contracts.hygiene import pointer_of
from services.contracts.resources import resource


class _Known(NamedTuple):
    validator: jsonschema_rs.Draft202012Validator
    is_activity: bool
    fields: frozenset[str]
    description: str


class Catalogue:
    """The known event types of a project."""

    def __init__(self, schemas: Mapping[str, Mapping[str, Any]]) -> None:
        """`schemas` are JSON Schemas (2020-12) of an event's `data` by type; `x-povod-activity` says whether it counts as activity."""
        self._known = {name: _known(schema) for name, schema in schemas.items()}

    def types(self) -> Iterable[str]:
        """Return the known types in the order of their names."""
        return sorted(self._known)

    def is_known(self, event_type: str) -> bool:
        """Say whether there is a schema for the type."""
        return event_type in self._known

    def is_activity(self, event_type: str) -> bool:
        """Say whether the type counts as the customer's activity; unknown types do, unless they are Povod's own."""
        known = self._known.get(event_type)
        return known.is_activity if known else not event_type.startswith(RESERVED_PREFIXES)

    def fields(self, event_type: str) -> frozenset[str]:
        """Return the names of the type's known fields; none for an unknown type. Others may occur in real events."""
        known = self._known.get(event_type)
        return frozenset() if known is None else known.fields

    def describe(self, event_type: str) -> str:
        """Return the type's one-sentence description; empty for an unknown one."""
        known = self._known.get(event_type)
        return "" if known is None else known.description

    def validate(self, event_type: str, data: Mapping[str, Any]) -> None:
        """Check `data` where the type is known; raises `InvalidEvent` (`code="schema"`) with a pointer below `/data`."""
        known = self._known.get(event_type)
        if known is None or known.validator.is_valid(data):
            return
        error = next(iter(known.validator.iter_errors(data)))
        pointer = pointer_of(["data", *map(str, error.instance_path)])
        raise InvalidEvent(f"{event_type}: {_shortened(error.message)}", code="schema", pointer=pointer)


def load_catalogue(folder: Path | None = None) -> Catalogue:
    """Read the schemas of a folder (Povod's own `schemas/events` unless named)."""
    files = (folder or resource("schemas") / "events").glob("*.json")
    return Catalogue({file.name.removesuffix(".json"): json.loads(file.read_bytes()) for file in files})


def _known(schema: Mapping[str, Any]) -> _Known:
    return _Known(
        jsonschema_rs.Draft202012Validator(dict(schema), validate_formats=False),
        bool(schema.get("x-povod-activity", False)),
        frozenset(schema.get("properties", ())),
        str(schema.get("description", "")),
    )


def _shortened(message: str, limit: int = 300) -> str:
    return message if len(message) <= limit else f"{message[:limit]}..."
