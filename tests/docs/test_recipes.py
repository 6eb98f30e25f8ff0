"""`docs/recipes.md`, `docs/import.md` and `docs/doors/browser.md` are true: what they show is run as it stands there."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from services.cli import povod
from services.commands.invocation import Invocation
from services.contracts.mapping import parse_map
from services.ingest import snippet
from services.runtime.clock import FrozenClock
from tests.clients import installing
from tests.clients.browsing import open_browser
from tests.docs.blocks import ROOT, Block, blocks
from tests.integration.ingest.door import Door, open_door, until
from tests.lacking import go_without

CALLS = {
    "python": (sys.executable, "-c", "{block}\nprint(json.dumps(post({events})))"),
    "js": ("node", "--input-type=module", "-e", "{block}\nconsole.log(JSON.stringify(await post({events})))"),
}
EVENTS = [{"type": "order.completed", "customer": "42", "data": {"order_id": "o1", "total": 1290}}, {"type": "order.completed"}]
SNIPPET = (ROOT / "docs" / "doors" / "browser.md").read_text(encoding="utf-8")


def the_block(language: str, what: str) -> Block:
    """Return the one block of that kind."""
    (found,) = [block for block in blocks(language) if block.what == what]
    return found


@pytest.fixture
async def door(tmp_path: Path, sqlite_url: str, frozen_clock: FrozenClock) -> AsyncIterator[Door]:
    """Return a running ingest service."""
    async with open_door(tmp_path, sqlite_url, frozen_clock) as opened:
        yield opened


@pytest.fixture(params=sorted(CALLS))
def command(request: pytest.FixtureRequest) -> list[str]:
    """Return what runs a recipe over two events."""
    program, *before, code = CALLS[request.param]
    block = the_block(request.param, "recipe").body
    return [
        str(installing.node()) if program == "node" else program,
        *before,
        code.replace("{block}", block).replace("{events}", json.dumps(EVENTS)),
    ]


async def run(command: list[str], door: Door, key: str) -> tuple[int, Any]:
    """Run a recipe to its end; return its exit code and what it printed, or its complaint."""
    environment = {**os.environ, "POVOD_URL": str(door.client.base_url).rstrip("/"), "POVOD_KEY": key}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
    printed, complaint = await process.communicate()
    code = await process.wait()
    return code, json.loads(printed) if code == 0 else complaint.decode()


async def test_recipes_post(command: list[str], door: Door) -> None:
    """Each event has its result; the good one is in the log under the id that the recipe gave it."""
    code, (first, second) = await run(command, door, door.key)
    assert (code, first["status"], second["code"]) == (0, "accepted", "missing_customer")
    assert [(event.id, event.data["total"]) for event in await door.events()] == [(first["id"], 1290)]
    assert "generated" not in first


async def test_recipes_try_again(command: list[str], door: Door) -> None:
    """While the log does not answer, a recipe waits, and then says the same event once more."""
    async with door.stuck_disk():
        running = asyncio.create_task(run(command, door, door.key))
        await until(lambda: b'status="503"' in door.metrics.render())
    code, results = await running
    assert (code, results[0]["status"]) == (0, "accepted")
    assert {event.id for event in await door.events()} == {results[0]["id"]}


async def test_recipes_give_up_what_can_not_be_mended(command: list[str], door: Door) -> None:
    """A wrong key is an error at once."""
    code, complaint = await run(command, door, "sk_wrong")
    assert code == 1
    assert "401" in complaint or "unauthorized" in complaint


def test_the_recipes_have_ten_lines() -> None:
    """As short as promised."""
    assert [len(the_block(language, "recipe").body.strip().splitlines()) for language in ("python", "js")] == [10, 10]


async def test_the_snippets_lines_work(door: Door) -> None:
    """The line for the head and the calls beside it, as they stand there but for address and key, make three events."""
    if why := installing.missing("browser"):
        go_without(why)
    line = the_block("html", "snippet").body
    line = line.replace("https://events.shop.example", str(door.client.base_url).rstrip("/")).replace("pk_...", door.browser_key)
    async with open_browser() as browser:
        await browser.shop(f"<!doctype html><title>Shop</title>{line}{the_block('html', 'calls').body}")
        await browser.go("http://shop.localhost/")
        async with asyncio.timeout(30):
            while len(await door.events()) < 4:  # noqa: ASYNC110 - a browser has no event for us to wait on
                await asyncio.sleep(0.05)
    types = {event.type for event in await door.events()}
    assert types == {"page.viewed", "product.viewed", "customer.identified", "povod.merge"}


def test_the_snippets_page_names_every_call_and_attribute() -> None:
    """What the script offers is in the tables, and what is in the tables the script offers."""
    code = snippet.FILE.read_text(encoding="utf-8")
    offered = set(re.search(r"win\.povod = \{ ([^:]*), push", code)[1].split(", "))  # type: ignore[index]  # it is there, or the test fails
    assert set(re.findall(r"`povod\.(\w+)\(", SNIPPET)) == offered
    assert set(re.findall(r"^\| `data-(\w+)", SNIPPET, re.MULTILINE)) == {"key", "url", "consent", "page"}
    assert set(re.findall(r"'(povod\.[a-z]+)\.?'", code.replace("'povod.e.'", "'povod.e'"))) <= {
        name.removesuffix(".*") for name in re.findall(r"^\| `(povod\.[a-z.*]+)`", SNIPPET, re.MULTILINE)
    } | {"povod.js"}


def test_the_import_page(tmp_path: Path) -> None:
    """The map is one, and the first command judges the example shop's file."""
    assert parse_map(the_block("yaml", "map.yaml").body).numbers == ("total",)
    (line,) = [line for block in blocks("shell") if block.page.name == "import.md" for line in block.body.splitlines()]
    arguments = [str(ROOT / word) if word.startswith("examples/") else word for word in line.split()[1:]]
    result = CliRunner().invoke(povod, arguments, obj=Invocation({"POVOD_DATA": str(tmp_path)}))
    assert result.exit_code == 0
    assert "31,106 rows: 31,076 would be accepted, 30 doubled in the file, 0 would be rejected" in result.stdout
