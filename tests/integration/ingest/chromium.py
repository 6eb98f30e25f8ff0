"""A real Chromium without scripts, driven over a pipe (https://chromedevtools.github.io/devtools-protocol/): it opens, clicks, looks."""

import asyncio
import base64
import json
import os
import sys
from asyncio import StreamReader
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.clients.installing import chromium

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--disable-extensions",
)
_PATIENCE = 30.0
_LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 100) for end in sys.argv[1:3]]
os.dup2(ends[0], 3)
os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads from the third and writes to the fourth of its files."""


class Page:
    """One page of the width of a phone. `complaints` are what the browser says in its console."""

    def __init__(self, reader: StreamReader, into: int) -> None:
        self._reader = reader
        self._into = into
        self._count = 0
        self._session: str | None = None
        self._events: list[dict[str, Any]] = []
        self.complaints: list[str] = []

    async def attach(self, width: int, height: int) -> None:
        """Make the page; scripts are off, so that what works works without them."""
        target = await self._call("Target.createTarget", url="about:blank")
        self._session = (await self._call("Target.attachToTarget", targetId=target["targetId"], flatten=True))["sessionId"]
        for domain in ("Page", "DOM", "Log"):
            await self._call(f"{domain}.enable")
        await self._call("Emulation.setScriptExecutionDisabled", value=True)
        await self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=True)

    async def open(self, url: str) -> None:
        """Open an address and wait for it."""
        await self._loading("Page.navigate", url=url)

    async def click(self, selector: str, *, leads_on: bool = False) -> None:
        """Click the middle of an element; with `leads_on`, wait for the page behind it."""
        node = await self._node(selector)
        await self._call("DOM.scrollIntoViewIfNeeded", nodeId=node)
        box = (await self._call("DOM.getBoxModel", nodeId=node))["model"]["border"]
        at = {"x": (box[0] + box[4]) / 2, "y": (box[1] + box[5]) / 2, "button": "left", "clickCount": 1}
        await self._call("Input.dispatchMouseEvent", type="mousePressed", **at)
        if leads_on:
            await self._loading("Input.dispatchMouseEvent", type="mouseReleased", **at)
        else:
            await self._call("Input.dispatchMouseEvent", type="mouseReleased", **at)

    async def write(self, selector: str, words: str) -> None:
        """Write into a field."""
        await self._call("DOM.focus", nodeId=await self._node(selector))
        await self._call("Input.insertText", text=words)

    async def html(self) -> str:
        """Return the page as it stands."""
        return str((await self._call("DOM.getOuterHTML", nodeId=await self._node("html")))["outerHTML"])

    async def width(self) -> float:
        """Return how wide the page's content is."""
        return float((await self._call("Page.getLayoutMetrics"))["cssContentSize"]["width"])

    async def size_of(self, selector: str) -> tuple[float, float]:
        """Return an element's width and height."""
        model = (await self._call("DOM.getBoxModel", nodeId=await self._node(selector)))["model"]
        return model["width"], model["height"]

    async def shoot(self, file: Path) -> None:
        """Take a picture of what is seen."""
        picture = base64.b64decode((await self._call("Page.captureScreenshot"))["data"])
        await asyncio.to_thread(file.write_bytes, picture)

    async def _node(self, selector: str) -> int:
        root = (await self._call("DOM.getDocument"))["root"]["nodeId"]
        node = int((await self._call("DOM.querySelector", nodeId=root, selector=selector))["nodeId"])
        assert node, f"the page has no {selector}"
        return node

    async def _loading(self, method: str, **parameters: Any) -> None:
        self._events.clear()
        await self._call(method, **parameters)
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._note(await self._read())

    async def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        session = {} if self._session is None else {"sessionId": self._session}
        os.write(self._into, json.dumps({"id": self._count, "method": method, "params": parameters, **session}).encode() + b"\0")
        while (message := await self._read()).get("id") != self._count:
            self._note(message)
        assert "error" not in message, message["error"]
        result: dict[str, Any] = message["result"]
        return result

    async def _read(self) -> dict[str, Any]:
        async with asyncio.timeout(_PATIENCE):
            message: dict[str, Any] = json.loads((await self._reader.readuntil(b"\0"))[:-1])
        return message

    def _note(self, message: dict[str, Any]) -> None:
        if "method" in message:
            self._events.append(message)
        if message.get("method") == "Log.entryAdded":
            self.complaints.append(message["params"]["entry"]["text"])


@asynccontextmanager
async def open_chromium(folder: Path, width: int = 390, height: int = 844) -> AsyncIterator[Page]:
    """Start Chromium with a fresh profile in `folder` and give one page of it."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _LAUNCH, str(theirs_in), str(theirs_out), str(chromium()), *_FLAGS, f"--user-data-dir={folder / 'profile'}",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, pass_fds=(theirs_in, theirs_out),
    )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    reader = StreamReader(limit=64 * 1024 * 1024)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours_in, "rb")
    )
    try:
        page = Page(reader, ours_out)
        await page.attach(width, height)
        yield page
    finally:
        process.terminate()
        await process.wait()
        transport.close()
        os.close(ours_out)
