"""Pixels are read like posted messages, and are always a picture."""

import base64
import json
from typing import Any

import pytest

from services.contracts.aliases import load_aliases
from services.contracts.errors import InvalidEvent
from services.ingest.doors.pixel import GIF, PixelDoor
from services.ingest.doors.port import Posted
from services.ingest.doors.registry import door_at
from services.ingest.doors.segment import SegmentDoor
from services.ingest.refusals import RequestRefused
from tests.door_requests import NOW, item_of, judged

DOOR = PixelDoor(SegmentDoor(lambda: load_aliases("segment")))
MESSAGE = {"writeKey": "wk", "userId": "42", "event": "Email Opened", "properties": {"subject": "Чай?>~"}}


def _asked(path: str, method: str = "GET", **query: str) -> Posted:
    return Posted(method, path, query, {}, b"", NOW)


def _dotted(query: dict[str, str]) -> dict[str, Any]:
    return item_of(DOOR, Posted("GET", "/pixel/v1/page", query, {}, b"", NOW))


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(MESSAGE),
        base64.b64encode(json.dumps(MESSAGE, ensure_ascii=False).encode()).decode(),
        base64.urlsafe_b64encode(json.dumps(MESSAGE, ensure_ascii=False).encode()).decode().rstrip("="),
        base64.b64encode(json.dumps(MESSAGE, ensure_ascii=False).encode()).decode().replace("+", " "),
    ],
)
def test_data_in_any_dress(data: str) -> None:
    """The message is read from plain JSON and from base64 of either alphabet, without padding, and with plus signs that became blanks."""
    parcel = DOOR.read(_asked("/v1/pixel/track", data=data))
    (item,) = parcel.items
    assert isinstance(item, dict)
    assert (parcel.key, item["customer"], item["type"], item["data"]) == ("wk", "42", "Email Opened", MESSAGE["properties"])


def test_parameters_with_dots() -> None:
    """RudderStack's parameters become a message: dots lead inside."""
    item = _dotted(
        {"writeKey": "wk", "anonymousId": "a1", "name": "Home", "properties.path": "/tea", "context.locale": "ru", "context.page.url": "u"}
    )
    assert (item["type"], item["anonymous"]) == ("page.viewed", "a1")
    assert item["data"] == {"name": "Home", "path": "/tea", "context": {"locale": "ru", "page": {"url": "u"}}}


@pytest.mark.parametrize(
    "query", [{"properties": "x", "properties.a": "1"}, {"properties.a": "1", "properties": "x"}, {"a" + ".b" * 5_000: "1"}]
)
def test_odd_parameters(query: dict[str, str]) -> None:
    """Parameters that contradict each other, or go very deep, break nothing."""
    assert len(judged(DOOR, Posted("GET", "/pixel/v1/page", {"userId": "42", **query}, {}, b"", NOW)).results) == 1


@pytest.mark.parametrize("data", ["", "%%%", "e30x", base64.b64encode(b"{").decode(), base64.b64encode(b"7").decode(), "ж"])
def test_unreadable_data(data: str) -> None:
    """Data that is no message is refused by `InvalidEvent`."""
    with pytest.raises(InvalidEvent):
        DOOR.read(_asked("/v1/pixel/track", data=data))


@pytest.mark.parametrize(
    ("path", "method"), [("/v1/pixel/", "GET"), ("/v1/pixel/batch", "GET"), ("/pixel/v1/x", "GET"), ("/v1/pixel/track", "HEAD")]
)
def test_no_such_pixel(path: str, method: str) -> None:
    """A kind that is none, and a method that asks for no picture, take nothing."""
    with pytest.raises(RequestRefused):
        DOOR.read(_asked(path, method, data=json.dumps(MESSAGE)))


def test_always_a_picture() -> None:
    """Accepted or refused, the answer is 200 and a transparent GIF that nobody keeps."""
    asked = _asked("/v1/pixel/track", data=json.dumps(MESSAGE))
    accepted = DOOR.accept(asked, judged(DOOR, asked))
    assert accepted == DOOR.refuse(asked, RequestRefused("unauthorized", "no key"))
    assert (accepted.status, accepted.content_type, accepted.body) == (200, b"image/gif", GIF)
    assert (GIF[:6], GIF[6:10], GIF[-1:]) == (b"GIF89a", b"\x01\x00\x01\x00", b";")
    assert (b"cache-control", b"no-store") in accepted.headers


@pytest.mark.parametrize("path", ["/v1/pixel/track", "/pixel/v1/page", "/pixel/v1/page/"])
def test_paths_lead_here(path: str) -> None:
    """Both libraries' paths lead to this door."""
    assert isinstance(door_at("GET", path), PixelDoor)
