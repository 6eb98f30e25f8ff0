"""The pages of `docs/doors` are true: their curl commands, but for address and key as they stand there, put their events into the log."""

import shlex
from argparse import ArgumentParser
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.runtime.clock import FrozenClock
from tests.docs.blocks import Block, blocks
from tests.integration.ingest.door import Door, open_door

HOST = "https://events.shop.example"
BLOCKS = [block for block in blocks("shell") if block.page.parent.name == "doors" and block.body.startswith("curl")]
ARRIVES = {
    "cloudevents.md": ["product.added"],
    "customerio-track.md": ["customer.identified", "order.completed"],
    "ga4.md": ["order.completed"],
    "posthog.md": ["order.completed"],
    "segment.md": ["order.completed"],
}
"""What each page's commands lead to, all of customer 42."""
CURL = ArgumentParser()
CURL.add_argument("url")
CURL.add_argument("-X", dest="method", default="POST")
CURL.add_argument("-H", dest="headers", action="append", default=[])
CURL.add_argument("-u", dest="user", default="")
CURL.add_argument("-d", dest="body")


@pytest.fixture
async def door(tmp_path: Path, sqlite_url: str, frozen_clock: FrozenClock) -> AsyncIterator[Door]:
    """Return a running ingest service."""
    async with open_door(tmp_path, sqlite_url, frozen_clock) as opened:
        yield opened


async def curl(door: Door, command: list[str]) -> int:
    """Send what a curl command would, and return the status."""
    given = CURL.parse_args(command[1:])
    user, _, password = given.user.partition(":")
    stated = (each.split(": ", 1) for each in given.headers)
    headers = {"content-type": "application/x-www-form-urlencoded"} | {name.lower(): value for name, value in stated}
    answer = await door.client.request(
        given.method, given.url.removeprefix(HOST), content=given.body, headers=headers, auth=(user, password) if given.user else None
    )
    return answer.status_code


@pytest.mark.parametrize("block", BLOCKS, ids=str)
async def test_commands_post(door: Door, block: Block) -> None:
    """Each is answered with a success, and its event is in the log under our name, for the customer of the page."""
    lines = block.body.replace("\\\n", " ").replace("sk_...", door.key).replace("\ncurl", "\0curl").split("\0")
    statuses = [await curl(door, shlex.split(line)) for line in lines]
    assert set(statuses) <= {200, 204}
    assert [(event.type, event.subject) for event in await door.events()] == [(name, "42") for name in ARRIVES[block.page.name]]


def test_every_page_has_a_command() -> None:
    """No door is documented without a command that can be tried, but the browser's."""
    assert {block.page.name for block in BLOCKS} == set(ARRIVES)
    assert {page.name for page in (Path(__file__).parents[2] / "docs" / "doors").iterdir()} == {*ARRIVES, "browser.md"}
