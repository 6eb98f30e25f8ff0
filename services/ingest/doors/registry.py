"""Which door stands at which path."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from services.ingest.doors.events import EventsDoor
from services.ingest.doors.port import Door


def _both_ways(paths: Mapping[str, Door]) -> Mapping[str, Door]:
    """Return the doors at their paths, each with and without a slash at the end."""
    return MappingProxyType({each: door for path, door in paths.items() for each in (path, f"{path}/")})


DOORS: Mapping[str, Door] = _both_ways({"/v1/events": EventsDoor()})
"""Doors at exact paths, for POST."""
PREFIXES: Sequence[tuple[str, Door]] = ()
"""Doors at everything below a path, for any method; the first that fits is taken."""


def door_at(method: str, path: str) -> Door | None:
    """Return the door that takes a request, None where there is none."""
    if method == "POST" and (door := DOORS.get(path)) is not None:
        return door
    return next((door for prefix, door in PREFIXES if path.startswith(prefix)), None)
