"""The pages in a real browser, on a phone's screen, without scripts: they fit, they can be hit, their forms arrive."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.runtime.clock import FrozenClock
from tests.clients.installing import missing
from tests.integration.ingest.chromium import Page, open_chromium
from tests.integration.ingest.door import Door, open_door
from tests.integration.ingest.returning import SETTINGS, claims, outbox, path_of, states
from tests.lacking import go_without

WIDTH = 390
SMALLEST_TARGET = 44
"""Height that a finger hits (Apple's guidelines; WCAG 2.2, 2.5.5)."""


@pytest.fixture
async def door(tmp_path: Path, sqlite_url: str, frozen_clock: FrozenClock) -> AsyncIterator[Door]:
    """Return a running service with topics and surveys."""
    async with open_door(tmp_path, sqlite_url, frozen_clock, **SETTINGS) as opened:
        yield opened


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    """Return a page of the browser; skip without a Chromium on a laptop, fail in CI."""
    if why := missing("browser"):
        go_without(why)
    async with open_chromium(tmp_path, WIDTH) as opened:
        yield opened


def url_of(door: Door, letter: str, query: str = "") -> str:
    """Return the whole address of a page."""
    return f"http://127.0.0.1:{door.server.port}{path_of(door, letter, claims(door)[letter])}{query}"


async def test_preferences_are_changed_by_hand(door: Door, page: Page, tmp_path: Path) -> None:
    """A finger takes the tick off a topic, wants less, saves; it is written; the way back shows it so."""
    await page.open(url_of(door, "p"))
    await page.shoot(tmp_path / "preferences.png")
    assert await page.width() <= WIDTH
    await page.click('input[name="topic"][value="sales"]')
    await page.click('input[value="less"]')
    await page.click('button:not([name="nothing"])', leads_on=True)
    assert "<h1>Сохранено</h1>" in await page.html()
    assert await states(door) == {("all", "sales"): "unsubscribed", ("all", "povod.less_often"): "subscribed"}
    await page.click("main a", leads_on=True)
    assert 'name="topic" value="sales">' in await page.html()
    assert page.complaints == []


async def test_a_survey_is_answered_by_hand(door: Door, page: Page, tmp_path: Path) -> None:
    """From a number in the mail: another number is taken instead, a word written, sent; every number is large enough for a finger."""
    await page.open(url_of(door, "s", "?score=9"))
    await page.shoot(tmp_path / "survey.png")
    assert await page.width() <= WIDTH
    sizes = [await page.size_of(f".scale label:nth-child({n}) span") for n in range(1, 12)]
    assert min(height for _, height in sizes) >= SMALLEST_TARGET
    assert min(width for width, _ in sizes) >= SMALLEST_TARGET
    await page.click('input[value="10"]')
    await page.write("#comment", "Всё понравилось")
    await page.click("button", leads_on=True)
    assert "<h1>Спасибо за ответ!</h1>" in await page.html()
    assert [(event.data["score"], event.data["comment"]) for event in await door.events()] == [(10, "Всё понравилось")]
    assert page.complaints == []


async def test_a_subscription_is_confirmed_by_hand(door: Door, page: Page, tmp_path: Path) -> None:
    """The language is changed, the button pressed, the subscription written."""
    await page.open(url_of(door, "d"))
    await page.click("footer a", leads_on=True)
    await page.shoot(tmp_path / "confirmation.png")
    assert "<h1>Confirm your subscription</h1>" in await page.html()
    assert await page.width() <= WIDTH
    await page.click("button", leads_on=True)
    assert "<h1>Subscription confirmed</h1>" in await page.html()
    assert await states(door) == {("email", "all"): "subscribed"}
    assert [event.type for event in await outbox(door)] == ["povod.consent"]
    assert page.complaints == []
