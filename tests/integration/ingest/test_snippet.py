"""The browser snippet in a real Chromium, against a running ingest: nothing lost, nothing doubled, nothing without consent."""

import asyncio
import gzip
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from services.ingest import snippet
from services.runtime.clock import FrozenClock
from tests.clients.browsing import Browser
from tests.integration.ingest.door import Door, open_door, until
from tests.integration.ingest.shop import ELSEWHERE, KEPT, SHOP, answered, arrived, enter, eventually, markup, sent

MOST_BYTES = 3_000
pytestmark = pytest.mark.timeout(180)


def test_it_is_small() -> None:
    """Packed with gzip it has under three thousand bytes."""
    assert len(gzip.compress(snippet.FILE.read_bytes(), 9, mtime=0)) < MOST_BYTES


async def test_it_is_served_to_be_kept(door: Door) -> None:
    """Packed where the browser may, with a name for its bytes: who has them is told so."""
    plain = await door.client.get("/povod.js", headers={"accept-encoding": "identity"})
    packed = await door.client.get("/povod.js", headers={"accept-encoding": "gzip, br"})
    assert plain.text == packed.text == snippet.FILE.read_text(encoding="utf-8")
    assert (plain.headers["content-type"], packed.headers["content-encoding"]) == ("text/javascript; charset=utf-8", "gzip")
    assert packed.headers["cache-control"] == "public, max-age=3600, stale-while-revalidate=86400"
    assert plain.headers["etag"] != packed.headers["etag"]
    for tag in (packed.headers["etag"], f'"other", W/{packed.headers["etag"]}', "*"):
        again = await door.client.get("/povod.js", headers={"accept-encoding": "gzip", "if-none-match": tag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", packed.headers["etag"])
    assert (await door.client.head("/povod.js")).status_code == 200


async def test_a_visit_arrives(door: Door, browser: Browser) -> None:
    """The page view says where, in what language and zone, from which campaign; then the visitor becomes a customer."""
    await browser.shop(markup(door, ""))
    await enter(browser, f"{SHOP}sale?utm_source=mail&utm_campaign=spring")
    await browser.run("povod.track('product.added', {product_id: 'p1', price: 1290})")
    await browser.run("povod.identify(42, {email: 'ann@shop.example', name: 'Анна'})")
    await browser.run("povod.track('order.completed', {order_id: 'o1', total: 1290})")
    anonymous = await browser.run("povod.anonymousId()")
    events = {event.type: event for event in await arrived(door, "page.viewed", "order.completed", "customer.identified", "povod.merge")}
    viewed = events["page.viewed"]
    assert (viewed.subject, viewed.source, viewed.data["path"], viewed.data["title"]) == (anonymous, "web", "/sale", "Shop")
    assert viewed.data["context"] == {
        "locale": "ru-RU",
        "timezone": "Europe/Moscow",
        "campaign": {"source": "mail", "name": "spring"},
        "library": {"name": "povod.js"},
    }
    assert events["product.added"].subject == anonymous
    assert (events["order.completed"].subject, events["order.completed"].anonymousid) == ("42", anonymous)
    assert events["customer.identified"].data["name"] == "Анна"
    assert (events["povod.merge"].subject, events["povod.merge"].data) == (anonymous, {"into": "42"})
    await eventually(lambda: sent(browser))


async def test_calls_before_it_is_loaded_are_not_lost(door: Door, browser: Browser) -> None:
    """What a page asks for while the script is on its way is done in order once it is there."""
    early = "<script>window.povod=[['identify','7'],['track','product.viewed',{product_id:'p1'}]]</script>"
    await browser.shop(early + markup(door, ""))
    await enter(browser)
    events = await arrived(door, "page.viewed", "product.viewed", "customer.identified")
    assert {event.subject for event in events if event.type != "povod.merge"} == {"7"}


async def test_the_queue_survives_a_reload(door: Door, browser: Browser) -> None:
    """Events that found no network are sent by the next page, each once, in their order."""
    await browser.shop(markup(door))
    await enter(browser)
    await browser.set_offline(offline=True)
    ids = [await browser.run(f"povod.track('step', {{number: {number}}})") for number in range(5)]
    await eventually(lambda: browser.run(f"{KEPT} === 5"))
    await browser.set_offline(offline=False)
    await browser.go(ELSEWHERE)
    await enter(browser)
    events = await arrived(door, "step")
    await eventually(lambda: sent(browser))
    events = await door.events()
    assert [event.id for event in sorted(events, key=lambda event: event.data["number"]) if event.type == "step"][:1] == ids[:1]
    assert {event.id for event in events} == set(ids)


async def test_offline_then_online(door: Door, browser: Browser) -> None:
    """Coming back online is noticed at once; the events' times are those at which they happened."""
    await browser.shop(markup(door))
    await enter(browser)
    await browser.set_offline(offline=True)
    first = await browser.run("povod.track('first')")
    await asyncio.sleep(1.5)  # time itself is what is tested: it passes for the visitor, while the server's clock stands still
    second = await browser.run("povod.track('second')")
    assert await door.events() == []
    await browser.set_offline(offline=False)
    events = {event.id: event for event in await arrived(door, "first", "second")}
    assert set(events) == {first, second}
    between = events[second].time - events[first].time
    assert timedelta(seconds=1.4) < between < timedelta(seconds=10)


async def test_leaving_sends_what_is_left(door: Door, browser: Browser) -> None:
    """A beacon carries what was done in the last moment; what the next page sends again has the same id."""
    await browser.shop(markup(door))
    await enter(browser)
    await browser.run("window.setTimeout = () => 0")  # its usual way of sending is never taken
    left = await browser.run("povod.track('left')")
    await browser.go(ELSEWHERE)
    assert [event.id for event in await arrived(door, "left")] == [left]
    await browser.shop("")
    await browser.go(SHOP)
    assert await browser.run("Object.values(localStorage).filter(value => value.startsWith('!')).length") == 1
    await browser.shop(markup(door))
    await enter(browser)
    await eventually(lambda: sent(browser))
    assert [event.id for event in await door.events()] == [left, left]


async def test_a_beacon_of_yesterday_is_not_repeated(door: Door, browser: Browser) -> None:
    """What a beacon carried is repeated only while ingest surely knows the id; what never left is sent however old."""
    await browser.shop(markup(door))
    await enter(browser)
    old = "(Date.now() - 2 * 864e5).toString(36) + '.1000.'"
    event = '{"id": "NAME", "type": "old", "anonymous": "v1"}'
    for name, mark in (("beaconed", "!"), ("kept", "")):
        await browser.run(f"localStorage.setItem('povod.e.' + {old} + '{name}', '{mark}{event.replace('NAME', name)}')")
    await enter(browser)
    await eventually(lambda: sent(browser))
    assert [event.id for event in await door.events()] == ["kept"]


async def test_nothing_is_lost_or_doubled_over_a_503(door: Door, browser: Browser) -> None:
    """While nothing can be stored, events wait; afterwards each is in the log under its one id."""
    await browser.shop(markup(door))
    await enter(browser)
    async with door.stuck_disk():
        ids = [await browser.run(f"povod.track('step', {{number: {number}}})") for number in range(250)]
        await until(lambda: answered(door, 503) > 0)
        assert await browser.run(KEPT) == 250
    await eventually(lambda: sent(browser))
    found = Counter(event.id for event in await door.events())
    assert set(found) == set(ids)


async def test_429_is_obeyed(tmp_path: Path, sqlite_url: str, frozen_clock: FrozenClock, browser: Browser) -> None:
    """A key over its rate is left alone for as long as the answer says; then all arrives."""
    async with open_door(tmp_path, sqlite_url, frozen_clock, rate=50) as door:
        await browser.shop(markup(door))
        await enter(browser)
        await browser.run("for (let n = 0; n < 220; n++) povod.track('step', {n})")
        await eventually(lambda: sent(browser))
        assert {event.data["n"] for event in await door.events()} == set(range(220))
        assert answered(door, 429) <= 6


async def test_two_tabs_share_a_queue(door: Door, browser: Browser) -> None:
    """Tabs write side by side, and neither loses what the other wrote."""
    await browser.shop(markup(door))
    await enter(browser)
    await enter(browser, tab=1)
    await browser.set_offline(offline=True)
    ids = [await browser.run(f"povod.track('step', {{number: {number}}})", number % 2) for number in range(20)]
    await browser.set_offline(offline=False)
    await eventually(lambda: sent(browser))
    found = Counter(event.id for event in await door.events())
    assert set(found) == set(ids)
