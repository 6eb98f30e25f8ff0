"""A driver process: it plays scenarios with its client and says what the client considers sent."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from tests.clients import installing
from tests.clients.catalogue import Client

_ROOT = Path(__file__).parents[2]
_LONGEST_LINE = 2**22
_PATIENCE_SECONDS = 100


class Told(NamedTuple):
    """What a driver says of a scenario: for whom each mark was sent, what its client gave up, whom it made one; complaints."""

    sent: dict[str, str]
    failed: dict[str, str]
    merges: list[tuple[str, str]]
    said: list[str]


class Driver:
    """One process; scenarios may be played side by side where the driver can."""

    def __init__(self, command: tuple[str, ...], environment: dict[str, str], log: Path) -> None:
        self._command = command
        self._environment = {**os.environ, "NO_PROXY": "127.0.0.1,localhost", **environment}
        self._log = log
        self._answers: dict[str, asyncio.Future[Told]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def play(self, scenario: dict[str, Any]) -> Told:
        """Play a scenario; a driver that dies or falls silent has failed it."""
        process = self._process or await self._start()
        answer: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self._answers[scenario["prefix"]] = answer
        assert process.stdin is not None
        process.stdin.write(json.dumps(scenario).encode() + b"\n")
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await answer
        except TimeoutError:
            return Told({}, {"driver": f"nothing was told in {_PATIENCE_SECONDS} s"}, [], [])

    async def close(self) -> None:
        """Let the driver end, and kill it if it does not."""
        if self._process is None or self._process.stdin is None or self._reading is None:
            return
        self._process.stdin.close()
        try:
            async with asyncio.timeout(20):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading

    async def _start(self) -> asyncio.subprocess.Process:
        with self._log.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=self._environment,
                cwd=_ROOT,
                limit=_LONGEST_LINE,
            )
        self._reading = asyncio.create_task(self._read(self._process))
        return self._process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            told = json.loads(line)
            merges = [(old, new) for old, new in told.get("merges", ())]
            self._settle(told["prefix"], Told(told["sent"], told["failed"], merges, told.get("said", [])))
        why = f"the driver ended: {self._log.read_text(errors='replace')[-2000:]}"
        for prefix in tuple(self._answers):
            self._settle(prefix, Told({}, {"driver": why}, [], []))

    def _settle(self, prefix: str, told: Told) -> None:
        """Hand an answer to who waits for it, unless nobody does any more."""
        if not (answer := self._answers.pop(prefix)).done():
            answer.set_result(told)


def driver_of(client: Client, folder: Path, ca_bundle: Path) -> Driver:
    """Return a client's driver, not yet started; pages share Chromium, so their drivers are `browser_driver`'s."""
    log = folder / f"{client.name}.log"
    if client.home == "node":
        return Driver((str(installing.node()), str(installing.node_folder() / "node" / f"{client.driver}.mjs"), *client.options), {}, log)
    module = f"tests.clients.python.{client.driver}"
    environment = {"REQUESTS_CA_BUNDLE": str(ca_bundle)} if client.driver == "drive_track" else {}
    return Driver((str(installing.python_of(client.home)), "-m", module, *client.options), environment, log)


def browser_driver(folder: Path) -> Driver:
    """Return the driver of all pages, not yet started."""
    script = installing.node_folder() / "browser" / "drive.mjs"
    return Driver((str(installing.node()), str(script), installing.chromium() or ""), {}, folder / "browser.log")
