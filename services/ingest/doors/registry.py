"""Which door stands at which path."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from services.ingest.doors.port import Door

DOORS: Mapping[str, Door] = MappingProxyType({})
"""Doors at exact paths, for POST; each with and without a slash at the end."""
PREFIXES: Sequence[tuple[str, Door]] = ()
"""Doors at everything below a path, for any method; the first that fits is taken."""
