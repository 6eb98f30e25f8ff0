"""Providers' callbacks over a real socket: checked, stored, answered."""

import gzip
from collections.abc import AsyncIterator
from hashlib import sha256
from hmac import digest
from pathlib import Path

import pytest

from services.runtime.clock import FrozenClock
from services.runtime.settings import HookSettings
from tests.integration.ingest.door import Door, open_door

SECRET = "a secret for tests"
BODY = b'{"id":"sms-7",  "status":"delivered"}'
PACKED = gzip.compress(BODY, mtime=0)
SIGNED = {"x-signature": digest(SECRET.encode(), BODY, sha256).hex(), "content-type": "application/json"}
HOOKS = {
    "gate": HookSettings.model_validate({"scheme": "hmac-sha256", "secret": SECRET, "message_id": "/id"}),
    "bot": HookSettings.model_validate({"scheme": "telegram", "secret": SECRET}),
    "whatsapp": HookSettings.model_validate({"scheme": "meta", "secret": SECRET, "verify_token": "verify-me"}),
}


@pytest.fixture
async def door(tmp_path: Path, sqlite_url: str, frozen_clock: FrozenClock) -> AsyncIterator[Door]:
    """Return a running service with three hooks."""
    async with open_door(tmp_path, sqlite_url, frozen_clock, hooks=HOOKS, max_body=4_096) as opened:
        yield opened


async def test_a_callback_is_stored_as_it_came(door: Door) -> None:
    """The bytes are on the topic before 200 is said, keyed by the provider's id, with hook, type and time beside them."""
    answer = await door.client.post("/hooks/gate", content=BODY, headers=SIGNED)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    (record,) = await door.records("povod.receipts")
    assert (record.key, record.value) == (b"sms-7", BODY)
    assert dict(record.headers) == {
        "hook": b"gate",
        "content-type": b"application/json",
        "received-at": door.clock.now().isoformat().encode(),
    }
    assert door.metrics.value("povod_ingest_hooks_total", hook="gate", result="stored") == 1


@pytest.mark.parametrize("signed", [PACKED, BODY])
async def test_a_packed_callback_may_be_signed_either_way(door: Door, signed: bytes) -> None:
    """Some sign what they send, some what they pack: either shows who it is from, and it is stored unpacked; anything else is forged."""
    headers = {"x-signature": digest(SECRET.encode(), signed, sha256).hex(), "content-encoding": "gzip"}
    assert (await door.client.post("/hooks/gate", content=PACKED, headers=headers)).status_code == 200
    assert (await door.client.post("/hooks/gate", content=gzip.compress(BODY + b" "), headers=headers)).status_code == 401
    assert [(record.key, record.value) for record in await door.records("povod.receipts")] == [(b"sms-7", BODY)]


async def test_a_hook_without_ids_has_no_key(door: Door) -> None:
    """Where no id is to be found the record has an empty key; nothing is read of the body."""
    answer = await door.client.post("/hooks/bot", content=b"\xff\x00no json", headers={"X-Telegram-Bot-Api-Secret-Token": SECRET})
    assert answer.status_code == 200
    (record,) = await door.records("povod.receipts")
    assert (record.key or b"", record.value) == (b"", b"\xff\x00no json")


@pytest.mark.parametrize("headers", [{}, {"x-signature": "00"}, {"x-signature": digest(b"other", BODY, sha256).hex()}])
async def test_a_forged_callback_is_401(door: Door, headers: dict[str, str]) -> None:
    """Without the right signature nothing is stored, and it is counted."""
    answer = await door.client.post("/hooks/gate", content=BODY, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert await door.records("povod.receipts") == []
    assert door.metrics.value("povod_ingest_hooks_total", hook="gate", result="forged") == 1


async def test_a_wrong_secret_is_refused_before_the_body(door: Door) -> None:
    """Who does not know the secret of the header is told so whatever the body holds, a body over the limit too."""
    answer = await door.client.post("/hooks/bot", content=b"x" * 100_000, headers={"X-Telegram-Bot-Api-Secret-Token": "guess"})
    assert answer.status_code == 401


async def test_other_hooks_are_404(door: Door) -> None:
    """A name that is not configured is no address."""
    for method in ("GET", "POST"):
        assert (await door.client.request(method, "/hooks/nobody")).status_code == 404


async def test_a_large_callback_is_413(door: Door) -> None:
    """A body over the limit is not read to its end, nor stored."""
    answer = await door.client.post("/hooks/gate", content=b"x" * 5_000, headers=SIGNED)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert await door.records("povod.receipts") == []


async def test_what_is_not_stored_is_not_acknowledged(door: Door) -> None:
    """While the log does not answer a callback is 503: the provider sends it again, and then it is stored."""
    async with door.stuck_disk():
        answer = await door.client.post("/hooks/gate", content=BODY, headers=SIGNED)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert (await door.client.post("/hooks/gate", content=BODY, headers=SIGNED)).status_code == 200


async def test_meta_checks_the_address(door: Door) -> None:
    """The challenge comes back as plain text; with another token it does not."""
    query = {"hub.mode": "subscribe", "hub.verify_token": "verify-me", "hub.challenge": "<b>1158</b>"}
    answer = await door.client.get("/hooks/whatsapp", params=query)
    assert (answer.status_code, answer.text) == (200, "<b>1158</b>")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await door.client.get("/hooks/whatsapp", params={**query, "hub.verify_token": "x"})).status_code == 401
