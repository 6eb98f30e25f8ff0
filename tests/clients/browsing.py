"""One visitor's Chromium, and the shop's page in it; commanded through `browser/command.mjs`."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.clients import installing

_LONGEST_LINE = 2**22


class Browser:
    """A visitor's browser; `tab` 0 is there from the start."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def shop(self, markup: str) -> None:
        """Say what the shop's pages hold from now on."""
        await self._call("markup", markup)

    async def go(self, url: str, tab: int = 0) -> None:
        """Lead a tab to an address; the page before is left as a visitor leaves it."""
        await self._call("go", {"url": url, "tab": tab})

    async def run(self, code: str, tab: int = 0) -> Any:
        """Return what JavaScript in the page comes to."""
        return await self._call("evaluate", {"code": code, "tab": tab})

    async def set_offline(self, *, offline: bool) -> None:
        """Cut the network, or join it again."""
        await self._call("offline", offline)

    async def complaints(self) -> list[str]:
        """Return every error that no script of the page caught."""
        found: list[str] = await self._call("complaints", None)
        return found

    async def _call(self, call: str, given: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"call": call, "given": given}).encode() + b"\n")
        answer = json.loads(await self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer.get("value")


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """Start a Chromium with an empty profile."""
    script = await asyncio.to_thread(installing.node_folder) / "browser" / "command.mjs"
    command = (str(installing.node()), str(script), installing.chromium() or "")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=_LONGEST_LINE)
    try:
        yield Browser(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
