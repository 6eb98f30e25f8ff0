"""Two doors on one port, restarted one after the other under load."""

import asyncio
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx

from services.ingest.server import IngestServer, make_server
from services.runtime.clock import FrozenClock
from services.runtime.settings import IngestSettings
from tests.integration.ingest.door import Door, open_door, until

CLIENTS = 8
LEAVING = "500ms"
Running = tuple[asyncio.Event, "asyncio.Task[None]"]


class Shop:
    """Posts one event after the other; `posted` are those that were answered with 200."""

    def __init__(self, door: Door, numbers: Iterator[int]) -> None:
        self._door = door
        self._numbers = numbers
        self.posted: list[str] = []
        self.is_over = False

    async def run(self) -> None:
        """Post until it is over; who is told to come again sends the same again, who is not let in or cut off fails the test."""
        async with httpx.AsyncClient(
            base_url=str(self._door.client.base_url), headers={"authorization": f"Bearer {self._door.key}"}
        ) as http:
            while not self.is_over:
                event = {"id": f"e{next(self._numbers)}", "type": "page.viewed", "customer": "ann"}
                await self._post(http, event)
                self.posted.append(event["id"])

    async def _post(self, http: httpx.AsyncClient, event: dict[str, str]) -> None:
        while True:
            answer = await http.post("/v1/events", content=json.dumps(event))
            if answer.status_code == httpx.codes.OK:
                return
            assert answer.json()["code"] == "log_unavailable"  # a busy disk; nothing else may be refused


async def _start(server: IngestServer) -> Running:
    stop = asyncio.Event()
    running = asyncio.create_task(server.run(stop))
    await until(lambda: server.started)
    return stop, running


async def _stop(running: Running) -> None:
    running[0].set()
    await running[1]


async def test_a_rolling_restart_loses_no_request(tmp_path: Path, sqlite_url: str, frozen_clock: FrozenClock) -> None:
    """While doors come and go, every request is answered with 200, and what was answered is in the log once."""
    async with open_door(tmp_path, sqlite_url, frozen_clock, share_port=True, leave_for=LEAVING) as door:
        settings = IngestSettings(port=door.server.port, share_port=True, leave_for=LEAVING)
        second = await _start(make_server(door.server.config.app, settings))
        numbers = count()
        shops = [Shop(door, numbers) for _ in range(CLIENTS)]
        posting = [asyncio.create_task(shop.run()) for shop in shops]
        for _ in range(3):
            third = await _start(make_server(door.server.config.app, settings))
            await _stop(second)
            second = third
        for shop in shops:
            shop.is_over = True
        await asyncio.gather(*posting)
        await _stop(second)
        posted = sorted(event for shop in shops for event in shop.posted)
        assert len(posted) > CLIENTS
        assert sorted({str(event.id) for event in await door.events()}) == posted
