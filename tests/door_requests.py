"""Requests as clients send them, for tests of doors: read into items, judged."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from services.contracts.catalogue import Catalogue
from services.contracts.errors import InvalidEvent
from services.contracts.normalise import Reception
from services.ingest.doors.port import Door, Posted
from services.ingest.judge import Judge, Judged

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SERVER = Reception("shop", trusted=True, received_at=NOW, new_id=lambda: "new")


def posted(path: str, body: Any = b"", headers: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None) -> Posted:
    """Return a POST; a body that is no bytes is sent as JSON."""
    named = {name.lower().encode(): value.encode() for name, value in (headers or {}).items()}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Posted("POST", path, query or {}, named, content, NOW)


def items_of(door: Door, request: Posted) -> list[dict[str, Any]]:
    """Return what a door reads, where all of it can be read."""
    items: list[Any] = list(door.read(request).items)
    assert all(isinstance(item, dict) for item in items), items
    return items


def item_of(door: Door, request: Posted) -> dict[str, Any]:
    """Return the one event that a door reads."""
    (item,) = items_of(door, request)
    return item


def judged(door: Door, request: Posted) -> Judged:
    """Return what the judge says of a request, as posted with a server key."""
    return Judge(Catalogue({}), 65_536).judge(door.read(request).items, SERVER)


def refusal_of(door: Door, request: Posted) -> str:
    """Return the code with which a door refuses to read a request."""
    with pytest.raises(InvalidEvent) as caught:
        door.read(request)
    return caught.value.code
