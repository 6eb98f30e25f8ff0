"""PostHog, CloudEvents, Customer.io Track and GA4 against a running door: keys in their places, packings, answers, what is in the log."""

import base64
import gzip
import json
import zlib
from typing import Any

import pytest

from tests.integration.ingest.door import Door

BATCH = [
    {"event": "Product Added", "distinct_id": "42", "uuid": "m1", "properties": {"product_id": "p1"}},
    {"event": "$pageview", "uuid": "m2"},
    {"event": "$identify", "distinct_id": "42", "uuid": "m3", "properties": {"$anon_distinct_id": "a1"}},
]
TAKEN = [("customer.identified", "42", "m3"), ("povod.merge", "a1", "merge:m3"), ("product.added", "42", "m1")]
STRUCTURED = {"content-type": "application/cloudevents+json"}


async def _found(door: Door) -> list[tuple[str, str, str]]:
    return sorted((event.type, event.subject, event.id) for event in await door.events())


@pytest.mark.parametrize("way", ["plain", "gzip", "unlabelled", "form"])
async def test_posthog_batch(door: Door, way: str) -> None:
    """PostHog's libraries have their key in the body, packed in any of their ways; a bad event is named and buried."""
    content = json.dumps({"api_key": door.key, "batch": BATCH}).encode()
    packed = {"gzip": gzip.compress(content), "unlabelled": gzip.compress(content), "form": b"data=" + base64.b64encode(content)}
    headers = {"content-type": "text/plain", **({"content-encoding": "gzip"} if way == "gzip" else {})}
    answer = await door.client.post("/e/?ip=1&compression=base64", content=packed.get(way, content), headers=headers)
    assert (answer.status_code, answer.json()["status"], answer.json()["accepted"]) == (200, 1, 2)
    assert [(each["index"], each["code"]) for each in answer.json()["results"]] == [(1, "missing_customer")]
    assert await _found(door) == TAKEN
    assert len(await door.records("povod.events.dlq")) == 1


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate"])
async def test_posthog_v1(door: Door, encoding: str) -> None:
    """The newer protocol has its key in `Authorization`, deflates if it likes, and gets a verdict for each event."""
    content = json.dumps({"batch": BATCH}).encode()
    packed = {"gzip": gzip.compress(content), "deflate": zlib.compress(content)}
    headers = {"authorization": f"Bearer {door.key}", "content-encoding": encoding}
    answer = await door.client.post("/i/v1/analytics/events", content=packed.get(encoding, content), headers=headers)
    assert {uuid: each["result"] for uuid, each in answer.json()["results"].items()} == {"m1": "ok", "m2": "drop", "m3": "ok"}
    assert await _found(door) == TAKEN


async def test_posthog_asks_first(door: Door) -> None:
    """posthog-js gets its settings and flags, in a page of any origin, where its key is known."""
    page = {"origin": "https://shop.example"}
    answer = await door.client.get(f"/array/{door.browser_key}/config", headers=page)
    assert (answer.json()["supportedCompression"], answer.headers["access-control-allow-origin"]) == (["gzip", "gzip-js"], page["origin"])
    flags = await door.client.post("/flags/?v=2", json={"token": door.browser_key}, headers=page)
    assert (flags.status_code, flags.json()["flags"]) == (200, {})
    assert (await door.client.get("/array/wrong/config.js")).status_code == 401
    assert (await door.client.get(f"/array/{door.browser_key}/array.js")).status_code == 404


async def test_posthog_shows_the_detail(door: Door) -> None:
    """A refused request has `detail`, which posthog-python shows."""
    answer = await door.client.post("/batch/", json={"api_key": "wrong", "batch": BATCH})
    assert (answer.status_code, "write key" in answer.json()["detail"]) == (401, True)


@pytest.mark.parametrize("path", ["/batch/", "/v1/batch", "/mp/collect"])
async def test_a_missing_key_is_told_in_the_library_s_words(door: Door, path: str) -> None:
    """Where a library has a place of its own for the key, the refusal names that place, not a header that nobody reads there."""
    answer = await door.client.post(path, json={"batch": BATCH, "client_id": "5.7", "events": [{"name": "purchase"}]})
    assert answer.status_code == 401
    assert answer.json()["message"].endswith("where your library has its own key (writeKey, api_key, api_secret)")


async def test_cloudevents(door: Door) -> None:
    """An event in binary mode and a batch are in the log, with their own source; 415 and 400 where nothing can be taken."""
    bearer = {"authorization": f"Bearer {door.key}"}
    binary = {"ce-specversion": "1.0", "ce-id": "a1", "ce-source": "/s", "ce-type": "product.added", "ce-subject": "%D0%AE"}
    answer = await door.client.post("/cloudevents", content=b'{"product_id": "p1"}', headers=bearer | binary)
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    batch = [{"specversion": "1.0", "id": "a2", "source": "/s", "type": "seen", "subject": "42"}, {"specversion": "1.0"}]
    headers = bearer | {"content-type": "application/cloudevents-batch+json; charset=utf-8"}
    answer = await door.client.post(f"/cloudevents/?writeKey={door.key}", json=batch, headers=headers)
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (1, 1)
    assert await _found(door) == [("product.added", "Ю", "a1"), ("seen", "42", "a2")]
    assert {event.source for event in await door.events()} == {"/s"}
    plain = await door.client.post("/cloudevents", json={}, headers=bearer)
    alone = await door.client.post("/cloudevents", content=b"{}", headers=bearer | STRUCTURED)
    assert [(each.status_code, each.json()["code"]) for each in (plain, alone)] == [
        (415, "unsupported_media_type"),
        (400, "unsupported_specversion"),
    ]


async def test_webhook_handshake(door: Door) -> None:
    """A webhook that asks before it posts is allowed to; a page that asks is answered as at any door."""
    answer = await door.client.options("/cloudevents", headers={"webhook-request-origin": "broker.example"})
    assert (answer.status_code, answer.headers["webhook-allowed-origin"]) == (200, "broker.example")
    page = await door.client.options("/cloudevents", headers={"origin": "https://shop.example", "access-control-request-method": "POST"})
    assert (page.status_code, "webhook-allowed-origin" in page.headers) == (204, False)


async def test_customerio_track(door: Door) -> None:
    """The API key of Basic is the write key; each method of the Track API does its own."""
    auth = ("site", door.key)
    path = "/api/v1/customers/u%201%2F%D1%8E"
    assert (await door.client.put(path, json={"email": "Ann@Shop.example"}, auth=auth)).status_code == 200
    event = {"name": "Order Completed", "data": {"total": 5}, "id": "01HX"}
    assert (await door.client.post(f"{path}/events", json=event, auth=auth)).status_code == 200
    assert (await door.client.request("DELETE", path, json={}, auth=auth)).json()["code"] == "not_supported"
    batch: list[Any] = [{"type": "person", "action": "event", "identifiers": {"id": "42"}, "name": "seen", "id": "02"}, 5]
    answer = await door.client.post("/api/v2/batch", json={"batch": batch}, auth=auth)
    assert (answer.status_code, [error["batch_index"] for error in answer.json()["errors"]]) == (207, [1])
    found = await door.events()
    assert sorted((event.type, event.subject) for event in found) == [
        ("customer.identified", "u 1/ю"),
        ("order.completed", "u 1/ю"),
        ("seen", "42"),
    ]
    assert next(event.data for event in found if event.type == "customer.identified") == {"traits": {"email": "Ann@shop.example"}}
    wrong = await door.client.put(path, json={}, auth=(door.key, "site"))
    assert (wrong.status_code, "API key" in wrong.json()["message"]) == (401, True)


async def test_ga4(door: Door) -> None:
    """`api_secret` is the write key; the same request again has the same id; the debug endpoint stores nothing."""
    micros = int(door.clock.now().timestamp()) * 1_000_000
    body = {"client_id": "c1", "user_id": "42", "timestamp_micros": micros, "events": [{"name": "purchase", "params": {"value": 5}}]}
    for _ in range(2):
        answer = await door.client.post("/mp/collect", params={"api_secret": door.key, "measurement_id": "G-1"}, json=body)
        assert (answer.status_code, answer.content, "content-length" in answer.headers) == (204, b"", False)
    first, second = await door.events()
    assert (first.type, first.subject, first.anonymousid, first.data) == ("order.completed", "42", "c1", {"total": 5})
    assert (first.id, first.time) == (second.id, second.time)
    debug = await door.client.post("/debug/mp/collect", params={"api_secret": door.key}, json=body | {"events": [5]})
    assert [each["fieldPath"] for each in debug.json()["validationMessages"]] == ["events[0]"]
    assert len(await door.events()) == 2
    assert (await door.client.post("/mp/collect", params={"api_secret": "wrong"}, json=body)).status_code == 401
