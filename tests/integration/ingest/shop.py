"""The shop's page in a visitor's browser, for tests of the snippet."""

import asyncio
from collections.abc import Awaitable, Callable

from services.contracts.events import Event
from tests.clients.browsing import Browser
from tests.integration.ingest.door import Door

SHOP = "http://shop.localhost/"
ELSEWHERE = "about:blank"
KEPT = "Object.keys(localStorage).filter(name => name.startsWith('povod.e.')).length"


def markup(door: Door, attributes: str = 'data-page="off"') -> str:
    """Return the shop's page with the snippet in it, as the docs show it."""
    address = str(door.client.base_url).rstrip("/")
    return f'<!doctype html><title>Shop</title><script async src="{address}/povod.js" data-key="{door.browser_key}" {attributes}></script>'


async def enter(browser: Browser, url: str = SHOP, tab: int = 0) -> None:
    """Open the shop and wait until the snippet is there."""
    await browser.go(url, tab)
    await eventually(lambda: browser.run("!!(window.povod && window.povod.track)", tab))


async def eventually(question: Callable[[], Awaitable[bool]]) -> None:
    """Ask until the answer is yes: a browser has no event for us to wait on."""
    async with asyncio.timeout(30):
        while not await question():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.05)


async def arrived(door: Door, *types: str) -> list[Event]:
    """Wait until events of all these types have arrived, and return all there are by time."""

    async def have() -> bool:
        return set(types) <= {event.type for event in await door.events()}

    await eventually(have)
    return sorted(await door.events(), key=lambda event: event.time)


async def sent(browser: Browser) -> bool:
    """Say whether nothing waits in the browser."""
    return bool(await browser.run(f"{KEPT} === 0"))


def answered(door: Door, status: int) -> int:
    """Return how many requests were answered with a status."""
    lines = door.metrics.render().decode().splitlines()
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if f'status="{status}"' in line and "_count" in line)
