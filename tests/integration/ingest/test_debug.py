"""What arrived lately, as JSON and on the live page in a real Chromium."""

import asyncio
from typing import Any

import pytest

from services.ingest.keys import create_key
from tests.clients.browsing import Browser
from tests.integration.ingest.door import Door

EVENT = b'{"type": "page.viewed", "customer": "<img src=x onerror=fail()>", "id": "e1"}'
ROWS = "[...document.querySelectorAll('#rows tr')].map(row => row.innerText.replace(/\\s+/g, ' '))"


@pytest.fixture
async def admin(door: Door) -> str:
    """Return an administrator's key."""
    key = await create_key(door.database, "me", "admin", door.clock.now())
    await door.keys.refresh()
    return key


async def _asked(door: Door, key: str, query: str = "") -> tuple[int, dict[str, Any]]:
    answer = await door.client.get(f"/v1/debug/events{query}", headers={"authorization": f"Bearer {key}"})
    return answer.status_code, answer.json()


async def _enter(browser: Browser, door: Door, key: str) -> None:
    await browser.go(f"{str(door.client.base_url).rstrip('/')}/debug")
    await browser.run(f"document.getElementById('admin').value = '{key}'; document.querySelector('#entrance button').click()")


async def _eventually(browser: Browser, question: str) -> None:
    """Ask until the page says yes: a browser has no event for us to wait on."""
    async with asyncio.timeout(30):
        while not await browser.run(question):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.05)


async def test_the_last_events_come_with_their_verdicts(door: Door, admin: str) -> None:
    """What was accepted and what was refused stands there at once, by key, with the names of the keys that may post."""
    await door.post(EVENT)
    await door.client.post("/v1/events", content=EVENT, headers={"authorization": "Bearer sk_wrong"})
    status, answer = await _asked(door, admin)
    assert (status, answer["success"], answer["keys"]) == (200, True, ["shop", "web"])
    assert [(seen["key"], seen["door"], seen["status"], seen.get("code")) for seen in answer["events"]] == [
        ("", "events", "refused", "unauthorized"),
        ("shop", "events", "accepted", None),
    ]
    assert answer["events"][1]["customer"] == "<img src=x onerror=fail()>"
    assert len((await _asked(door, admin, "?key=shop"))[1]["events"]) == 1
    assert len((await _asked(door, admin, "?limit=1"))[1]["events"]) == 1


async def test_only_an_administrator_may_look(door: Door, admin: str) -> None:
    """No key, a wrong one and a write key are refused, and so is a limit that is none."""
    without = await door.client.get("/v1/debug/events")
    assert (without.status_code, "admin key" in without.json()["message"]) == (401, True)
    assert (await _asked(door, "ak_guess"))[0] == 401
    assert (await _asked(door, door.key))[1]["code"] == "wrong_scope"
    for limit in ("0", "101", "-1", "x", "١", ""):
        assert (await _asked(door, admin, f"?limit={limit}"))[1]["code"] == "bad_request"


async def test_the_page_may_do_nothing_but_ask_us(door: Door) -> None:
    """The page comes without a key, runs no foreign script, loads nothing from elsewhere and is never cached or framed."""
    for path, kind in (("/debug", "text/html"), ("/debug/debug.js", "text/javascript"), ("/debug/debug.css", "text/css")):
        answer = await door.client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.timeout(180)
async def test_the_page_shows_an_event_within_seconds(door: Door, admin: str, browser: Browser) -> None:
    """A developer types the key, sees what is there and, without doing anything, what comes; markup in it is text."""
    await door.post(b'{"type": "message.sent", "customer": "42"}')
    await _enter(browser, door, admin)
    await _eventually(browser, f"{ROWS}.length === 1")
    assert "reserved_type" in (await browser.run(ROWS))[0]
    await door.post(EVENT)
    await _eventually(browser, f"{ROWS}.length === 2")
    assert "<img src=x onerror=fail()>" in (await browser.run(ROWS))[0]
    assert await browser.run("[sessionStorage.length, localStorage.length, document.cookie, location.search]") == [1, 0, "", ""]
    await browser.run("document.getElementById('leave').click()")
    assert await browser.run("[sessionStorage.length, document.getElementById('view').hidden]") == [0, True]


@pytest.mark.timeout(180)
async def test_the_page_says_what_is_wrong_in_both_languages(door: Door, browser: Browser) -> None:
    """A key that is none is told as such, in the language chosen; nothing is kept of it."""
    await _enter(browser, door, "ak_guess")
    await _eventually(browser, "!document.getElementById('problem').hidden")
    assert await browser.run("document.getElementById('problem').textContent") in {"This key is not known.", "Такой ключ неизвестен."}
    first = await browser.run("document.documentElement.lang")
    await browser.run("document.getElementById('language').click()")
    assert {first, await browser.run("document.documentElement.lang")} == {"en", "ru"}
    await browser.run(f"document.getElementById('admin').value = '{door.key}'; document.querySelector('#entrance button').click()")
    await _eventually(browser, "/admin key\\.|администратора\\./.test(document.getElementById('problem').textContent)")
    assert await browser.run("sessionStorage.length") == 0
