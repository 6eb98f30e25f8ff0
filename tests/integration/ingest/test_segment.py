"""Segment's clients against a running door: keys in each of their ways, preflights, settings, pixels, what arrives in the log."""

import base64
import gzip
import json
from typing import Any

import pytest

from tests.integration.ingest.door import Door

BATCH = {
    "batch": [
        {"type": "track", "event": "Product Added", "userId": "42", "messageId": "m1", "properties": {"product_id": "p1"}},
        {"type": "track", "userId": "42", "messageId": "m2"},
        {"type": "alias", "userId": "42", "previousId": "a1", "messageId": "m3"},
    ]
}


async def test_batch_is_taken(door: Door) -> None:
    """Good messages of a batch are in the log when 200 is answered, the bad one is named and buried, an alias tells the visitor too."""
    answer = await door.client.post("/v1/batch", json=BATCH, auth=(door.key, ""))
    assert (answer.status_code, answer.json()["success"], answer.json()["accepted"]) == (200, True, 2)
    assert [(each["index"], each["code"], each["pointer"]) for each in answer.json()["rejected"]] == [(1, "missing_event", "/event")]
    found = sorted((event.type, event.subject, event.id) for event in await door.events())
    assert found == [("customer.identified", "42", "m3"), ("povod.merge", "a1", "merge:m3"), ("product.added", "42", "m1")]
    assert len(await door.records("povod.events.dlq")) == 1


@pytest.mark.parametrize("way", ["basic", "bearer", "body", "query"])
async def test_key_in_each_way(door: Door, way: str) -> None:
    """The key is taken from Basic's user, Bearer, the body and the query; no Content-Type matters, nor does gzip without a label."""
    basic = base64.b64encode(f"{door.key}:".encode()).decode()
    headers = {"basic": {"authorization": f"Basic {basic}"}, "bearer": {"authorization": f"Bearer {door.key}"}}.get(way, {})
    body = BATCH | ({"writeKey": door.key} if way == "body" else {})
    answer = await door.client.post(
        "/beacon/v1/batch" if way == "query" else "/v1/batch/",
        params={"writeKey": door.key} if way == "query" else None,
        content=gzip.compress(json.dumps(body).encode()),
        headers={"content-type": "application/x-www-form-urlencoded", **headers},
    )
    assert answer.json()["accepted"] == 2


@pytest.mark.parametrize("body", [BATCH, BATCH | {"writeKey": "wrong"}])
async def test_no_key(door: Door, body: Any) -> None:
    """A request without a key, or with one that is not known, is refused with `code` and `message`, as these clients need it."""
    answer = await door.client.post("/v1/batch", json=body)
    assert answer.status_code == 401
    assert {name: answer.json()[name] for name in ("success", "code")} == {"success": False, "code": "unauthorized"}
    assert await door.events() == []


async def test_preflight_of_rudderstack(door: Door) -> None:
    """The preflight of RudderStack's browser client is granted all headers that it asks for, at the door and at its configuration."""
    asked = {
        "origin": "https://shop.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "anonymousid,authorization,content-type,sentat",
    }
    for path in ("/v1/track", "/sourceConfig/"):
        answer = await door.client.options(path, headers=asked)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert answer.headers["access-control-allow-headers"].replace(" ", "") == asked["access-control-request-headers"]


async def test_settings_name_the_host_that_was_asked(door: Door) -> None:
    """analytics.js is told to send to where it asked, by the scheme by which it asked; a page of any origin may read it."""
    path = "/v1/projects/wk/settings"
    behind = {"host": "events.shop.example", "x-forwarded-proto": "https", "origin": "https://shop.example"}
    answer = await door.client.get(path, headers=behind)
    ours = {"apiKey": "wk", "apiHost": "events.shop.example/v1", "protocol": "https"}
    assert answer.json()["integrations"] == {"Segment.io": ours}
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    plain = await door.client.get(path, headers={"host": "localhost:8080"})
    assert plain.json()["integrations"]["Segment.io"] == ours | {"apiHost": "localhost:8080/v1", "protocol": "http"}
    odd = await door.client.get(path, headers={"host": "a/b?c"})
    assert odd.json()["integrations"]["Segment.io"]["apiHost"] == "127.0.0.1:8080/v1"


async def test_settings_of_customerio(door: Door) -> None:
    """Customer.io's client, below its own path, sees its own integration and no other: two would make it load scripts from elsewhere."""
    answer = await door.client.get("/customerio/v1/projects/wk/settings")
    assert list(answer.json()["integrations"]) == ["Customer.io Data Pipelines"]


@pytest.mark.parametrize("path", ["/sourceConfig", "/sourceConfig/"])
async def test_source_config(door: Door, path: str) -> None:
    """RudderStack's client is told that its source is there and has no destinations."""
    source = (await door.client.get(path, params={"writeKey": "wk"})).json()["source"]
    assert (source["enabled"], source["destinations"], source["writeKey"], source["config"]["statsCollection"]["errors"]) == (
        True,
        [],
        "wk",
        {"enabled": False},
    )


async def test_pixel(door: Door) -> None:
    """A pixel is a picture; with a good key its message is in the log, with a bad one it is not."""
    for key in (door.key, "wrong"):
        params = {"writeKey": key, "userId": "42", "properties.path": "/tea"}
        answer = await door.client.get("/pixel/v1/page", params=params)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert [(event.type, event.data) for event in await door.events()] == [("page.viewed", {"path": "/tea"})]


async def test_metrics_of_analytics_js(door: Door) -> None:
    """What analytics.js tells of itself is answered 200 without a key."""
    answer = await door.client.post("/v1/m", json={"series": []})
    assert (answer.status_code, answer.json()) == (200, {"success": True})


async def test_a_context_for_all_is_not_multiplied_without_bound(door: Door) -> None:
    """A batch whose common context would stand in thousands of messages, more than its share of memory, is refused; a usual one is not."""
    messages = [{"type": "track", "event": "a", "userId": str(number)} for number in range(2_000)]
    for size, status in ((1_000, 200), (60_000, 413)):
        context = {"page": {"title": "x" * size}}
        answer = await door.client.post("/v1/batch", json={"batch": messages, "context": context}, auth=(door.key, ""))
        assert answer.status_code == status, answer.text[:200]
    assert len(await door.events()) == 2_000
