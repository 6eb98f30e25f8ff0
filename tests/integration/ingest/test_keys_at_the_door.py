"""What keys may do, seen from outside: rates, origins, scopes, signatures, pages, proxies, programs."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.ingest.identity import identity_secret, sign_customer
from services.ingest.keys import Limits, Scope, create_key, rotate_key
from services.runtime.clock import FrozenClock
from tests.integration.ingest.door import Door, open_door

SHOP = "https://shop.example"
EVENT = {"type": "page.viewed", "customer": "42"}
VISITOR = "0193b2c4-7f1e-7c3a-9d55-1f2e3d4c5b6a"
LINKS = "a secret that is long enough for tests"


@pytest.fixture
async def proxied(tmp_path: Path, sqlite_url: str, frozen_clock: FrozenClock) -> AsyncIterator[Door]:
    """Return a running ingest that trusts this machine as a proxy."""
    async with open_door(tmp_path, sqlite_url, frozen_clock, trusted_proxies=("127.0.0.0/8",)) as opened:
        yield opened


async def _key(door: Door, name: str, scope: Scope = "browser", **limits: Any) -> str:
    secret = await create_key(door.database, name, scope, door.clock.now(), Limits(**limits))
    door.keys._link_secrets = (LINKS,)
    await door.keys.refresh()
    return secret


async def _post(door: Door, key: str, body: Any = EVENT, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await door.client.post("/v1/events", json=body, headers={"authorization": f"Bearer {key}", **named})


async def test_a_key_has_a_rate_of_its_own(door: Door) -> None:
    """Beyond its own rate a key is told to wait, whole seconds, and a page may read how long; other keys go on."""
    key = await _key(door, "slow", rate=2)
    assert (await _post(door, key, [EVENT] * 9, origin=SHOP)).status_code == 200
    refused = await _post(door, key, origin=SHOP)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert refused.headers["retry-after"] in {"3", "4"}
    assert refused.headers["access-control-expose-headers"] == "Retry-After"
    assert refused.headers["access-control-allow-origin"] == SHOP
    assert (await door.post(b'{"type": "page.viewed", "customer": "42"}')).status_code == 200


async def test_a_key_is_for_its_own_pages(door: Door) -> None:
    """A foreign page is refused and may not read the answer; the key's own page and a server may post."""
    key = await _key(door, "page", origins=(SHOP,))
    refused = await _post(door, key, origin="https://evil.example")
    assert (refused.status_code, refused.json()["code"]) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in refused.headers
    assert (await _post(door, key, origin=SHOP)).headers["access-control-allow-origin"] == SHOP
    assert (await _post(door, key)).status_code == 200
    assert len(await door.records()) == 2


async def test_a_preflight_is_answered_without_a_key(door: Door) -> None:
    """A browser learns what it may send before it names a key."""
    asked = {"origin": SHOP, "access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    answer = await door.client.options("/v1/events", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-headers"] == "authorization, content-type"
    assert answer.headers["access-control-allow-credentials"] == "true"


async def test_an_admin_key_posts_nothing(door: Door) -> None:
    """Who may look may not post."""
    refused = await _post(door, await _key(door, "me", "admin"))
    assert (refused.status_code, refused.json()["code"]) == (403, "wrong_scope")
    assert await door.records() == []


async def test_a_customer_is_proved_by_a_signature(door: Door) -> None:
    """With a key that asks for it each event is judged by itself: signed ones and visitors pass, forged ones are rejected."""
    key = await _key(door, "signed", require_signature=True)
    good = sign_customer(identity_secret(LINKS, "signed"), "42")
    batch = [
        EVENT | {"signature": good},
        EVENT,
        EVENT | {"customer": "43", "signature": good},
        {"type": "page.viewed", "anonymous": VISITOR},
    ]
    results = (await _post(door, key, batch)).json()["results"]
    assert [(result["status"], result.get("code")) for result in results] == [
        ("accepted", None),
        ("rejected", "bad_signature"),
        ("rejected", "bad_signature"),
        ("accepted", None),
    ]
    assert {event.subject for event in await door.events()} == {"42", VISITOR}


async def test_programs_are_marked_where_a_page_posts(door: Door) -> None:
    """A crawler's event with a browser key is marked; a server's own program is no customer's, and a browser is no program."""
    await _post(door, door.browser_key, user_agent="Mozilla/5.0 (compatible; YandexBot/3.0)")
    await _post(door, door.browser_key, user_agent="Mozilla/5.0 (X11; Linux x86_64) Chrome/126.0 Safari/537.36")
    await _post(door, door.key, user_agent="curl/8.5.0")
    assert sorted(event.bot is True for event in await door.events()) == [False, False, True]


async def test_an_address_that_is_none_is_a_warning(door: Door) -> None:
    """The event is accepted with its good address in one form, and the sender told of the bad one."""
    body = {"type": "customer.identified", "customer": "42", "data": {"phone": "8 (916) 123-45-67", "email": "ann@"}}
    (result,) = (await _post(door, door.key, body)).json()["results"]
    assert (result["status"], result["warnings"]) == ("accepted", ["/data/email is no e-mail address; it was left out"])
    (event,) = await door.events()
    assert event.data == {"phone": "+79161234567"}
    plain = (await _post(door, door.key)).json()["results"][0]
    assert "warnings" not in plain


async def test_a_rotated_key_goes_on(door: Door) -> None:
    """Old and new secret post as one key: events keep their source, and are counted together."""
    new = await rotate_key(door.database, "shop", door.clock.now(), timedelta(days=7))
    await door.keys.refresh()
    assert [(await _post(door, key)).status_code for key in (door.key, new)] == [200, 200]
    assert {event.source for event in await door.events()} == {"shop"}
    assert door.metrics.value("povod_ingest_events_total", key="shop", door="events", verdict="accepted") == 2


async def test_requests_through_a_proxy_are_taken(proxied: Door) -> None:
    """A forwarded request is taken like any other, however strange what it claims."""
    for claim in ("203.0.113.7", "unknown", "", ", ,", "::1, 1.2.3.4:99999", "x" * 4_000):
        assert (await _post(proxied, proxied.key, x_forwarded_for=claim)).status_code == 200
