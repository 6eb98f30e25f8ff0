"""What Segment's, RudderStack's and Customer.io Pipelines' own clients send, captured on the wire, arrives as what its caller meant.

`tests/fixtures/doors/segment.jsonl`: segment-analytics-python 2.4.0, rudder-sdk-python 2.1.9, customerio-cdp-analytics 1.1.0,
@segment/analytics-node 3.1.0, @segment/analytics-next 1.84.3, @rudderstack/rudder-sdk-node 3.0.13, @rudderstack/analytics-js 3.34.1,
@customerio/cdp-analytics-node 0.5.9, @customerio/cdp-analytics-browser 0.5.11.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from services.contracts.aliases import load_aliases
from services.contracts.catalogue import load_catalogue
from services.contracts.codec import decode_event
from services.contracts.events import Event
from services.contracts.normalise import Reception
from services.ingest.doors.segment import SegmentDoor
from services.ingest.judge import Judge
from tests.door_requests import NOW, posted

DOOR = SegmentDoor(partial(load_aliases, "segment", "b2b"))
BROWSER = Reception("site", trusted=False, received_at=NOW, new_id=lambda: "new")
EMAIL = {"email": "ann@shop.example"}


class Captured(NamedTuple):
    """One request of a client."""

    client: str
    path: str
    body: str

    def __str__(self) -> str:
        """Name the test."""
        return f"{self.client} {self.path}"


CAPTURED = [Captured(**json.loads(line)) for line in Path("tests/fixtures/doors/segment.jsonl").read_text("utf-8").splitlines()]
SERVERS = [each for each in CAPTURED if each.path == "/v1/batch"]


def _events(items: Any) -> list[Event]:
    judged = Judge(load_catalogue(), 65_536).judge(items, BROWSER)
    assert [result for result in judged.results if result.status != "accepted"] == []
    return [decode_event(record.value) for record in judged.records]


def _sent(client: str, path: str) -> list[Event]:
    (found,) = (each for each in CAPTURED if (each.client, each.path) == (client, path))
    return _events(DOOR.read(posted(path, found.body.encode())).items)


@pytest.mark.parametrize("captured", CAPTURED, ids=str)
def test_both_ways_of_reading_agree(captured: Captured) -> None:
    """A body that is read strictly gives the same events as when it is read leniently."""
    kind = {"p": "page", "i": "identify", "t": "track", "g": "group", "a": "alias"}.get(captured.path[4:], captured.path[4:])
    lenient = DOOR.read_raw(json.loads(captured.body), "" if "b" in captured.path.rpartition("/")[2][:1] else kind)
    assert _events(lenient.items) == _events(DOOR.read(posted(captured.path, captured.body.encode())).items)


@pytest.mark.parametrize("captured", CAPTURED, ids=str)
def test_no_field_of_a_client_needs_the_slow_way(captured: Captured) -> None:
    """Every captured body is read strictly, but for those with a bare NaN or half an emoji in them."""
    is_odd = "NaN" in captured.body or "\\ud83d" in captured.body
    items = DOOR.read(posted(captured.path, captured.body.encode())).items
    assert all(isinstance(item, dict) == is_odd for item in items)


@pytest.mark.parametrize("captured", SERVERS, ids=str)
def test_server_library(captured: Captured) -> None:
    """Every server library's identify, track, page, screen, group and alias arrives with its customer, type and data."""
    events = _sent(captured.client, captured.path)
    by_type = {event.type: event for event in reversed(events)}
    assert (events[0].type, events[0].subject, events[0].data["traits"]["email"]) == ("customer.identified", "u1", "ann@shop.example")
    assert {name: by_type["product.added"].data[name] for name in ("product_id", "price")} == {"product_id": "p1", "price": 12.5}
    assert by_type["page.viewed"].data["url"] == "https://shop.example/"
    assert by_type["page.viewed"].data["name"] == "Home"
    assert by_type["screen.viewed"].data["name"] == "Main"
    grouped = by_type["customer.grouped"]
    assert (grouped.subject, grouped.data["group_id"], grouped.data["traits"]) == ("u1", "acme", {"plan": "pro"})
    assert (events[-1].type, events[-1].subject, events[-1].anonymousid) == ("customer.identified", "u1", "anon1")


def test_python_nan_and_half_an_emoji() -> None:
    """A bare NaN is null and half an emoji is U+FFFD in what segment-analytics-python sends; nothing else is lost."""
    order = _sent("segment-analytics-python", "/v1/batch")[2]
    assert (order.type, order.subject) == ("order.completed", "anon1")
    assert {name: order.data[name] for name in ("order_id", "total", "note")} == {"order_id": "o1", "total": None, "note": "cut \ufffd"}


def test_rudder_python_traits_in_context() -> None:
    """RudderStack's identify has its traits in the context, and they become the customer's."""
    identified = _sent("rudder-sdk-python", "/v1/batch")[0]
    assert identified.data["traits"] == EMAIL
    assert "traits" not in identified.data["context"]


def test_time_is_corrected_by_time_of_sending() -> None:
    """An event of a minute before it was sent happened a minute before it came, whatever the client's clock says."""
    order = _sent("@segment/analytics-node", "/v1/batch")[2]
    assert 59 < (NOW - order.time).total_seconds() < 61
    assert order.originaltime != order.time


def test_no_time_of_sending_no_correction() -> None:
    """Customer.io's Node client says no time of sending: the client's time stands."""
    order = _sent("@customerio/cdp-analytics-node", "/v1/batch")[2]
    (captured,) = (each for each in CAPTURED if each.client == "@customerio/cdp-analytics-node")
    assert order.time.isoformat().startswith(json.loads(captured.body)["batch"][2]["timestamp"][:19])


def test_browser_page() -> None:
    """A page of analytics.js has its address, name and category, and of the context what is kept."""
    (page,) = _sent("@segment/analytics-next", "/v1/p")
    assert (page.data["path"], page.data["name"], page.data["category"], page.data["a"]) == ("/static/seg.html", "Home", "Docs", 1)
    context = page.data["context"]
    assert sorted(context) == ["library", "locale", "page", "timezone", "userAgent"]
    assert context["library"] == {"name": "analytics.js", "version": "npm:next-1.84.3"}


def test_browser_identify() -> None:
    """An identify of a browser has the visitor's id beside the customer's."""
    (identified,) = _sent("@segment/analytics-next", "/v1/i")
    assert (identified.type, identified.subject, identified.data["traits"]) == ("customer.identified", "u1", EMAIL)
    assert isinstance(identified.anonymousid, str)
    assert len(identified.anonymousid) == 36


def test_browser_alias_to_oneself() -> None:
    """What analytics.js makes of `alias` after `identify`, equal ids, merges nobody and is no error."""
    (captured,) = (each for each in CAPTURED if (each.client, each.path) == ("@segment/analytics-next", "/v1/a"))
    judged = Judge(load_catalogue(), 65_536).judge(DOOR.read(posted("/v1/a", captured.body.encode())).items, BROWSER)
    assert (judged.counts, judged.merges) == ((1, 0, 0), [])


def test_browser_key_in_the_body() -> None:
    """Customer.io's browser client names its key only in the body; analytics.js's batches have it only in their messages."""
    bodies = {(each.client, each.path): each.body.encode() for each in CAPTURED}
    one = bodies["@customerio/cdp-analytics-browser", "/v1/t"]
    several = bodies["@segment/analytics-next", "/v1/b"]
    assert DOOR.read(posted("/v1/t", one)).key == "wk_cio_browser"
    assert DOOR.read(posted("/v1/b", several)).key == "wk_seg_browser"


def test_rudder_browser_alias_merges() -> None:
    """RudderStack's alias names the new id as user and the old one as previous: the two are one person."""
    (alias,) = _sent("@rudderstack/analytics-js", "/v1/alias")
    assert (alias.type, alias.subject, alias.anonymousid) == ("customer.identified", "u2", "u1")


def test_rudder_browser_zone_is_none() -> None:
    """RudderStack's `GMT+0000` is the offset of a moment and no time zone: it is left out."""
    (identified,) = _sent("@rudderstack/analytics-js", "/v1/identify")
    assert "timezone" not in identified.data["context"]
    assert identified.data["context"]["locale"] == "en-US"


def test_rudder_beacon() -> None:
    """A beacon's batch, sent while the page is being left, is read like any other; an empty userId is none."""
    events = _sent("@rudderstack/analytics-js", "/beacon/v1/batch")
    assert [event.type for event in events][:3] == ["page.viewed", "customer.identified", "product.added"]
    assert events[0].subject == events[1].anonymousid
