"""Whom the snippet speaks for, and where it keeps what it knows: consent, customers, and browsers that store nothing."""

import pytest

from services.ingest.identity import sign_customer
from services.ingest.keys import Limits, create_key
from tests.clients.browsing import Browser
from tests.integration.ingest.door import Door
from tests.integration.ingest.shop import ELSEWHERE, arrived, enter, eventually, markup, sent

pytestmark = pytest.mark.timeout(180)


async def test_nothing_without_consent(door: Door, browser: Browser) -> None:
    """Where consent is asked for, nothing is stored or sent before; given, the page counts; withdrawn, all is forgotten."""
    await browser.shop(markup(door, 'data-consent="required"'))
    await enter(browser)
    assert await browser.run("[povod.track('early'), povod.identify('42'), povod.anonymousId(), localStorage.length]") == [
        None,
        None,
        None,
        0,
    ]
    await browser.run("povod.consent(true)")
    await browser.run("povod.track('later')")
    assert {event.type for event in await arrived(door, "page.viewed", "later")} == {"page.viewed", "later"}
    await enter(browser)
    assert await browser.run("!!povod.track('again')")
    await eventually(lambda: sent(browser))
    await browser.run("povod.consent(false)")
    assert await browser.run("[povod.track('never'), localStorage.length]") == [None, 0]
    await browser.go(ELSEWHERE)
    assert "never" not in {event.type for event in await door.events()}


async def test_an_objection_is_remembered(door: Door, browser: Browser) -> None:
    """Where consent is not asked for, a no holds on later pages, until a yes."""
    await browser.shop(markup(door))
    await enter(browser)
    await browser.run("povod.consent(false)")
    await enter(browser)
    assert await browser.run("[povod.track('never'), Object.keys(localStorage)]") == [None, ["povod.consent"]]
    await browser.run("povod.consent(true)")
    assert await browser.run("!!povod.track('later')")
    assert [event.type for event in await arrived(door, "later")] == ["later"]


async def test_another_person_at_the_same_browser(door: Door, browser: Browser) -> None:
    """Who logs in after somebody else gets an anonymous id of their own, so that the two are never made one."""
    await browser.shop(markup(door))
    await enter(browser)
    await browser.run("povod.identify('ann')")
    first = await browser.run("povod.anonymousId()")
    await browser.run("povod.identify('bob')")
    second = await browser.run("povod.anonymousId()")
    await eventually(lambda: sent(browser))
    merges = {event.subject: event.data["into"] for event in await door.events() if event.type == "povod.merge"}
    assert merges == {first: "ann", second: "bob"}


async def test_a_customer_is_proved_where_the_key_asks_for_it(door: Door, browser: Browser) -> None:
    """The signature that the shop's server made goes with each event of its customer; without one, the console says why nothing arrives."""
    key = await create_key(door.database, "signed", "browser", door.clock.now(), Limits(require_signature=True))
    await door.keys.refresh()
    (secret,) = door.keys.find(key).identity or ()
    await browser.shop(markup(door).replace(door.browser_key, key))
    await enter(browser)
    await browser.run(f"povod.identify('42', {{}}, '{sign_customer(secret, '42')}')")
    await enter(browser)
    await browser.run("povod.track('signed')")
    await arrived(door, "signed")
    await browser.run("povod.identify('43')")
    await browser.run("povod.track('forged')")
    await eventually(lambda: sent(browser))
    assert {(event.type, event.subject) for event in await door.events() if event.type != "povod.merge"} == {
        ("customer.identified", "42"),
        ("signed", "42"),
    }


@pytest.mark.parametrize(
    "before",
    [
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('forbidden'); } })",
        "for (let size = 1 << 20; size; size >>= 1) try { for (;;) localStorage.setItem(Math.random(), 'x'.repeat(size)); } catch (e) {}",
    ],
    ids=["forbidden", "full"],
)
async def test_a_browser_that_stores_nothing_still_tells(door: Door, browser: Browser, before: str) -> None:
    """Without room in localStorage, events live as long as their page, and are sent from there."""
    await browser.shop(f"<script>{before}</script>{markup(door)}")
    await enter(browser)
    ids = {await browser.run("povod.track('step')") for _ in range(3)}
    await browser.run("povod.identify('42')")
    events = await arrived(door, "step", "customer.identified")
    assert {event.id for event in events if event.type == "step"} == ids
    assert len({event.subject for event in events if event.type == "step"}) == 1


async def test_a_page_without_https_works_too(door: Door, browser: Browser) -> None:
    """There is no randomUUID and no lock there, and ids are good all the same."""
    await browser.shop(markup(door))
    await enter(browser, "http://shop.test/")
    assert await browser.run("[isSecureContext, !!crypto.randomUUID, !!navigator.locks]") == [False, False, False]
    ids = {await browser.run("povod.track('step')") for _ in range(5)}
    await arrived(door, "step")
    await eventually(lambda: sent(browser))
    assert {event.id for event in await door.events()} == ids
    assert all(len(each) == 32 for each in ids)
