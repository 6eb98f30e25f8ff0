"""What a line of JSON may be: our own event (as posted, or as it lies on the topic), or an export in another client's shape."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from services.contracts.errors import InvalidEvent
from services.contracts.incoming import Item, read_items, read_json
from services.ingest.doors.port import Door, Posted
from services.ingest.files.lines import ReadLine

_ON_THE_TOPIC = "receivedtime"
"""An attribute that only events of the topic have."""
_NOT_POSTED = {_ON_THE_TOPIC, "originaltime", "bot", "via", "anonymousid", "unproved"}


def read_own(line: bytes) -> Sequence[Item]:
    """Return the items of a line in our own shape; raises `InvalidEvent` where it is no JSON."""
    return [_as_posted(item) if isinstance(item, dict) and _ON_THE_TOPIC in item else item for item in read_items(line)]


def reader_of(door: Door, path: str, received_at: datetime) -> ReadLine:
    """Return what reads lines each of which is one message of a door's batch; `path` is the batch's."""

    def read(line: bytes) -> Sequence[Item]:
        if not isinstance(read_json(line), dict):
            raise InvalidEvent("a line is one object", code="not_an_object", pointer="")
        headers: Mapping[bytes, bytes] = {}
        return door.read(Posted("POST", path, {}, headers, b'{"batch":[%b]}' % line, received_at)).items

    return read


def _as_posted(event: Mapping[str, Any]) -> dict[str, Any]:
    posted = {name: value for name, value in event.items() if name not in _NOT_POSTED}
    return posted if event.get("anonymousid") is None else {**posted, "anonymous": event["anonymousid"]}
