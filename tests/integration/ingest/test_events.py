"""`POST /v1/events` over a real socket: every answer it can give."""

import asyncio
import base64
import gzip
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.ingest.keys import revoke_key
from services.runtime.clock import FrozenClock
from tests.integration.ingest.door import Door, open_door, until

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _event(**fields: Any) -> dict[str, Any]:
    return {"type": "product.added", "customer": "42", "id": "a1", "data": {"price": 1.5}} | fields


def _error(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert body["success"] is False
    assert body["message"]
    assert body["detail"] == body["message"]
    return answer.status_code, body["code"]


async def test_an_accepted_event_is_in_the_log(door: Door) -> None:
    """When 200 is answered, the event lies in the log, with the key's name as source and the clock's time of receipt."""
    answer = await door.post(json.dumps(_event()), {"traceparent": TRACE})
    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "accepted": 1,
        "duplicates": 0,
        "rejected": 0,
        "results": [{"index": 0, "status": "accepted", "id": "a1"}],
    }
    (record,) = await door.records()
    (event,) = await door.events()
    assert (event.id, event.source, event.subject, event.data) == ("a1", "shop", "42", {"price": 1.5})
    assert (event.time, event.receivedtime) == (door.clock.now(), door.clock.now())
    assert event.traceparent == TRACE
    assert record.key == b"42"
    assert dict(record.headers) == {"content-type": b"application/cloudevents+json; charset=UTF-8", "traceparent": TRACE.encode()}


async def test_a_batch_has_a_result_for_each_event(door: Door) -> None:
    """Good, repeated and bad events stand side by side; bad ones say why, and cost the others nothing."""
    batch = [_event(), _event(), _event(id="a2", data={"price": "much"}), _event(id="a3", type="message.sent"), _event(id="a4")]
    answer = await door.post(json.dumps({"batch": batch}))
    assert answer.status_code == 200
    body = answer.json()
    assert (body["accepted"], body["duplicates"], body["rejected"]) == (2, 1, 2)
    assert [result["status"] for result in body["results"]] == ["accepted", "duplicate_in_request", "rejected", "rejected", "accepted"]
    assert [(result.get("code"), result.get("pointer")) for result in body["results"][2:4]] == [
        ("schema", "/data/price"),
        ("reserved_type", "/type"),
    ]
    assert [event.id for event in await door.events()] == ["a1", "a4"]


async def test_rejected_events_become_dead_letters(door: Door) -> None:
    """A rejected event goes to the dead letters with its bytes and its reason in the headers."""
    bad = _event(type="povod.erase")
    await door.post(json.dumps([bad, _event()]))
    (letter,) = await door.records("povod.events.dlq")
    headers = dict(letter.headers)
    assert json.loads(letter.value) == bad
    assert (letter.key, headers["reason"], headers["source"]) == (b"42", b"reserved_type", b"shop")
    assert headers["at"] == door.clock.now().isoformat().encode()
    assert b"published by Povod itself" in headers["error"]
    assert door.metrics.value("povod_dead_letters_total", topic="povod.events.dlq", reason="reserved_type") == 1


async def test_events_are_counted(door: Door) -> None:
    """Metrics say how many events each key posted, and what became of them."""
    await door.post(json.dumps([_event(), _event(), _event(type="")]))
    counts = {
        verdict: door.metrics.value("povod_ingest_events_total", key="shop", door="events", verdict=verdict)
        for verdict in ("accepted", "duplicate_in_request", "rejected")
    }
    assert counts == {"accepted": 1, "duplicate_in_request": 1, "rejected": 1}
    assert door.metrics.value("povod_ingest_request_seconds_count", status="200") == 1
    assert "povod_ingest_in_flight_bytes 0.0" in (await door.client.get("/metrics")).text


@pytest.mark.parametrize("label", ["gzip", "identity"])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
async def test_any_label_is_taken(door: Door, label: str, content_type: str) -> None:
    """Packed or not, under any Content-Type and with or without the label: what counts is what is there."""
    headers = {"content-type": content_type, "content-encoding": label}
    assert (await door.post(gzip.compress(json.dumps(_event()).encode()), headers)).json()["accepted"] == 1
    assert (await door.post(json.dumps(_event(id="a2")), headers)).json()["accepted"] == 1


async def test_both_ways_to_send_the_key(door: Door) -> None:
    """The key goes as a bearer token, or as the user of Basic credentials with an empty password; the path may end in a slash."""
    basic = {"authorization": "Basic " + base64.b64encode(f"{door.key}:".encode()).decode()}
    assert (await door.client.post("/v1/events/", json=_event(), headers=basic)).status_code == 200
    assert (await door.client.post("/v1/events", json=_event(), headers={"authorization": f"Bearer {door.key}"})).status_code == 200


async def test_a_browser_key_is_trusted_less(door: Door) -> None:
    """A browser key can neither name a source nor post history."""
    headers = {"authorization": f"Bearer {door.browser_key}"}
    answer = await door.client.post("/v1/events", json=[_event(source="pos"), _event(historical=True)], headers=headers)
    assert [result.get("code") for result in answer.json()["results"]] == [None, "not_allowed"]
    assert [event.source for event in await door.events()] == ["web"]


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer nobody"}, {"authorization": "Basic !"}, {"authorization": ""}])
async def test_without_a_known_key_nothing_is_read(door: Door, headers: dict[str, str]) -> None:
    """A missing, unknown or unreadable key is 401, and says how to send one."""
    answer = await door.client.post("/v1/events", json=_event(), headers=headers)
    assert _error(answer) == (401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert await door.records() == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[]", "empty_batch"),
        (b'{"batch": []}', "empty_batch"),
        (b"\x1f\x8b\0", "invalid_gzip"),
    ],
)
async def test_a_request_without_events_is_refused(door: Door, body: bytes, code: str) -> None:
    """A body that holds no event at all is the only thing that is 400."""
    assert _error(await door.post(body)) == (400, code)


async def test_other_packings_are_refused(door: Door) -> None:
    """A body packed with something other than gzip is 415."""
    assert _error(await door.post(b"{}", {"content-encoding": "br"})) == (415, "unsupported_encoding")


async def test_sizes_are_bounded(tmp_path: Path, sqlite_url: str, frozen_clock: FrozenClock) -> None:
    """Too many bytes, packed or not, declared or not, and too many events are 413; one event too large is rejected alone."""
    async with open_door(tmp_path, sqlite_url, frozen_clock, max_body=20_000, max_event=2_000, max_batch=3) as door:
        assert _error(await door.post(b" " * 20_001)) == (413, "payload_too_large")
        assert _error(await door.post(gzip.compress(b" " * 10_000_000))) == (413, "payload_too_large")
        assert _error(await door.post(json.dumps([_event()] * 4))) == (413, "batch_too_large")
        results = (await door.post(json.dumps([_event(data={"x": "y" * 3_000}), _event()]))).json()["results"]
        assert [result.get("code") for result in results] == ["event_too_large", None]


async def test_a_fast_key_has_to_wait(tmp_path: Path, sqlite_url: str, frozen_clock: FrozenClock) -> None:
    """A key over its rate is 429 with whole seconds in Retry-After, before anything is parsed; other keys are not."""
    async with open_door(tmp_path, sqlite_url, frozen_clock, rate=10) as door:
        assert (await door.post(json.dumps([_event(id=str(i)) for i in range(40)]))).json()["accepted"] == 40
        answer = await door.post(b"not even JSON")
        assert _error(answer) == (429, "rate_limited")
        assert 2 <= int(answer.headers["retry-after"]) <= 3
        assert door.metrics.value("povod_ingest_refused_total", key="shop", door="events", code="rate_limited") == 1
        other = {"authorization": f"Bearer {door.browser_key}"}
        assert (await door.client.post("/v1/events", json=_event(), headers=other)).status_code == 200


async def test_bytes_in_flight_are_bounded(tmp_path: Path, sqlite_url: str, frozen_clock: FrozenClock) -> None:
    """While the log holds many bytes back, more of them are 503 at once; when it goes on, the next request is taken."""
    body = json.dumps([_event(id=str(i), data={"x": "y" * 10_000}) for i in range(70)])
    async with open_door(tmp_path, sqlite_url, frozen_clock, max_in_flight=1_048_576) as door:
        async with door.stuck_disk():
            first = asyncio.create_task(door.post(body))
            await until(lambda: door.in_flight() >= len(body))
            second = await door.post(body)
            assert _error(second) == (503, "overloaded")
            assert second.headers["retry-after"] == "1"
            assert _error(await first) == (503, "log_unavailable")
        assert (await door.post(body)).status_code == 200
        assert door.in_flight() == 0


async def test_a_log_that_does_not_answer_is_503_within_a_second(door: Door) -> None:
    """A stuck disk is 503 with Retry-After within a second; once it goes on, the same events are taken."""
    loop = asyncio.get_running_loop()
    async with door.stuck_disk():
        began = loop.time()
        answer = await door.post(json.dumps(_event()))
        assert loop.time() - began < 1.0
    assert _error(answer) == (503, "log_unavailable")
    assert answer.headers["retry-after"] == "1"
    assert (await door.post(json.dumps(_event()))).json()["accepted"] == 1
    assert {event.id for event in await door.events()} == {"a1"}


async def test_a_closed_log_is_503_at_once(door: Door) -> None:
    """Without a log nothing is acknowledged, and readiness says so."""
    assert (await door.client.get("/readyz")).json() == {"ready": True, "checks": {"log": "ok"}, "draining": False}
    await door.log.close()
    assert _error(await door.post(json.dumps(_event()))) == (503, "log_unavailable")
    answer = await door.client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]) == (503, {"log": "failing"})
    assert (await door.client.get("/livez")).json() == {"alive": True}


async def test_rejections_are_told_though_dead_letters_fail(door: Door) -> None:
    """Where the log does not take the dead letters, the sender is told all the same, and the loss is counted."""
    async with door.stuck_disk():
        answer = await door.post(json.dumps(_event(type="")))
    assert (answer.status_code, answer.json()["rejected"]) == (200, 1)
    assert door.metrics.value("povod_dead_letters_total", topic="povod.events.dlq", reason="not_kept") == 1


async def test_a_log_that_does_not_answer_is_waited_for_once(door: Door) -> None:
    """Events and dead letters are handed to the log together: where it takes neither, both have been tried by the time of the answer."""
    async with door.stuck_disk():
        answer = await door.post(json.dumps([_event(type=""), _event()]))
    assert _error(answer) == (503, "log_unavailable")
    assert door.metrics.value("povod_dead_letters_total", topic="povod.events.dlq", reason="not_kept") == 1


async def test_a_revoked_key_is_refused_after_the_next_refresh(door: Door) -> None:
    """Revoking a key closes the door for it."""
    assert await revoke_key(door.database, "shop", door.clock.now()) is True
    await door.keys.refresh()
    assert _error(await door.post(json.dumps(_event()))) == (401, "unauthorized")


async def test_a_database_that_is_away_does_not_matter(door: Door, tmp_path: Path) -> None:
    """No request waits for the database: events are taken though every file of it is gone."""
    await door.database.close()
    for file in list(tmp_path.glob("state-*")):  # noqa: ASYNC240 - a handful of files of this test
        file.unlink()
    assert (await door.post(json.dumps(_event()))).json()["accepted"] == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_other_methods_are_405(door: Door, method: str) -> None:
    """Only POST leads through the events door, and the answer to others says so (RFC 9110, 15.5.6)."""
    answer = await door.client.request(method, "/v1/events")
    assert _error(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "OPTIONS, POST"


async def test_other_paths_are_404(door: Door) -> None:
    """An unknown path is answered as every error is, and says where to go."""
    answer = await door.client.get("/v2/events")
    assert _error(answer) == (404, "not_found")
    assert answer.json()["message"] == "there is nothing at /v2/events: post events to /v1/events, look at them at /debug"


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_health_may_be_asked_for_with_head(door: Door, path: str) -> None:
    """A balancer that asks without wanting a body gets the status alone."""
    answer = await door.client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")


async def test_metrics_and_openapi_are_served(door: Door) -> None:
    """Prometheus finds its text, a developer the OpenAPI document with the events door in it."""
    await door.post(json.dumps(_event()))
    metrics = await door.client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert 'povod_ingest_events_total{door="events",key="shop",verdict="accepted"} 1.0' in metrics.text
    document = (await door.client.get("/openapi.json")).json()
    assert document["paths"]["/v1/events"]["post"]["security"] == [{"writeKey": []}, {"writeKeyAsUser": []}]


async def test_the_server_finishes_what_it_has_begun(tmp_path: Path, sqlite_url: str, frozen_clock: FrozenClock) -> None:
    """A request that waits for the log when the server is told to stop still gets its answer."""
    async with open_door(tmp_path, sqlite_url, frozen_clock) as door, door.stuck_disk():
        asked = asyncio.create_task(door.post(json.dumps(_event())))
        await until(lambda: door.in_flight() > 0)
        door.server.should_exit = True
        assert _error(await asked) == (503, "log_unavailable")
