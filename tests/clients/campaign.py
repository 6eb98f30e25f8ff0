"""The campaign: every client plays every scenario against one Povod, then everything is read back once; tests only look at the findings."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from deploy.local.ports import free_port
from services.ingest.keys import Limits, create_key
from services.runtime.database import Database
from tests.clients import evidence
from tests.clients.catalogue import CALM, FAULTY, KILLED, SLOW_RATE, THROTTLED, Client, Scenario
from tests.clients.certificate import make_certificate, tls_front
from tests.clients.driving import Driver, Told, browser_driver, driver_of
from tests.clients.evidence import Evidence
from tests.clients.proxy import Proxy
from tests.kill.engines import Engine, kafka_engine, povod
from tests.kill.fleet import Fleet
from tests.kill.rounds import wait_until_ready

AT_ONCE = 8
"""Scenarios that are played at the same time on a calm day: most of them wait most of the time."""
SETTLING_SECONDS = 60
KILLS = 2
"""A storm; there is one for servers' clients and one for browsers'."""


class Played(NamedTuple):
    """One client's scenario: `began` and `ended` by the right clock, and the proxy that its requests went through."""

    began: datetime
    ended: datetime
    told: Told
    proxy: Proxy


class Findings(NamedTuple):
    """What the campaign found."""

    played: dict[tuple[str, str], Played]
    evidence: Evidence
    kills: int


def prefix_of(client: Client, scenario: Scenario) -> str:
    """Return what begins the id of every customer of a scenario."""
    return f"{client.name}.{scenario.name}"


def events_of(client: Client, scenario: Scenario) -> int:
    """Return how many events a client's scenario has."""
    return min(scenario.events, client.most)


class Campaign:
    """The drivers and the way from them to ingest."""

    def __init__(
        self, engine: Engine, keys: dict[str, str], drivers: dict[str, Driver], certificate: ssl.SSLContext, note: Callable[[str], object]
    ) -> None:
        self._keys = keys
        self._port = int(engine.base_url.rpartition(":")[2])
        self._drivers = drivers
        self._certificate = certificate
        self._note = note
        self.played: dict[tuple[str, str], Played] = {}

    async def calm(self, clients: Iterable[Client]) -> None:
        """Play what needs a healthy server, clients side by side, the scenarios of each in turn."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def all_of(client: Client) -> None:
            for scenario in (CALM, *(fault for fault in FAULTY if fault.name in client.endures)):
                async with gate:
                    await self._play(client, scenario)

        await asyncio.gather(*map(all_of, clients))

    async def throttle(self, clients: Iterable[Client]) -> None:
        """Have clients speak at once, each faster than its key may."""
        await asyncio.gather(*(self._play(client, THROTTLED) for client in clients))

    async def storm(self, clients: Iterable[Client], fleet: Fleet) -> None:
        """Have clients speak at once; when all have begun, kill ingest and let it come back, again and again."""
        proxies = {client: Proxy(self._port, (), self._front(client)) for client in clients if KILLED.name in client.endures}
        playing = asyncio.gather(*(self._play_through(proxy, client, KILLED) for client, proxy in proxies.items()))
        while not playing.done() and not all(proxy.seen for proxy in proxies.values()):  # noqa: ASYNC110 - another process's state can only be asked for
            await asyncio.sleep(0.05)
        for _ in range(KILLS):
            await asyncio.to_thread(fleet.kill, "ingest")
            await asyncio.sleep(0.5)
            fleet.start("ingest")
            await wait_until_ready(f"http://127.0.0.1:{self._port}")
            await asyncio.sleep(0.5)
        await playing

    async def close(self) -> None:
        """Close the proxies; pages may still have been sending."""
        for (client, scenario), played in self.played.items():
            self._note(f"{client}.{scenario}: {played.proxy.seen} requests, answers {dict(played.proxy.answers)} {played.told.said[:5]}")
        await asyncio.gather(*(proxy.stop() for _, _, _, proxy in self.played.values()))

    async def _play(self, client: Client, scenario: Scenario) -> None:
        await self._play_through(Proxy(self._port, scenario.faults, self._front(client)), client, scenario)

    def _front(self, client: Client) -> ssl.SSLContext | None:
        """Return the certificate for the one client that speaks HTTPS only."""
        return self._certificate if client.driver == "drive_track" else None

    async def _play_through(self, proxy: Proxy, client: Client, scenario: Scenario) -> None:
        await proxy.start()
        order = scenario._asdict() | {
            "prefix": prefix_of(client, scenario),
            "client": client.driver,
            "host": proxy.url,
            "key": self._key_of(client, scenario),
            "events": events_of(client, scenario),
            "skew": scenario.skew if client.corrects else 0,
            "faults": len(scenario.faults),
            **dict.fromkeys(client.options, True),
        }
        began = datetime.now(UTC)
        told = await self._drivers[client.name].play(order)
        self.played[client.name, scenario.name] = Played(began, datetime.now(UTC), told, proxy)
        took = (datetime.now(UTC) - began).total_seconds()
        self._note(f"{prefix_of(client, scenario)}: {took:.1f} s, {len(told.sent)} sent, {proxy.seen} requests {told.failed or ''}")

    def _key_of(self, client: Client, scenario: Scenario) -> str:
        """Return a throttled client's own key, or that of its kind."""
        return self._keys[client.name if scenario is THROTTLED else "browser" if client.home == "browser" else "server"]

    def expected(self) -> set[tuple[str, str]]:
        """Return everything that clients consider sent: customer and mark."""
        return {(customer, mark) for played in self.played.values() for mark, customer in played.told.sent.items()}


async def run(clients: tuple[Client, ...], servers: dict[str, str], folder: Path) -> Findings:
    """Start Povod, play everything, wait until all is decided, read it back."""
    engine = await kafka_engine(folder, free_port(), servers)
    pem = make_certificate(folder)
    fleet = Fleet({"ingest": ("ingest",), "rules": ("rules",)}, engine.environment, folder)
    database = Database(engine.environment["POVOD_DATABASE__URL"])
    slow = {client.name: await _slow_key(database, client) for client in clients if client.home != "browser"}
    fleet.start_all()
    diary = partial(_write, folder / "campaign.log", datetime.now(UTC))
    try:
        async with _drivers(clients, folder, pem) as drivers:
            browser_key = json.loads(povod(engine.environment, "keys", "create", "page", "--browser", "--json"))["key"]
            keys = {"server": engine.write_key, "browser": browser_key, **slow}
            campaign = Campaign(engine, keys, drivers, tls_front(pem), diary)
            await wait_until_ready(engine.base_url)
            await campaign.calm(clients)
            await campaign.throttle([client for client in clients if client.name in slow])
            await _settle(campaign, database)
            await campaign.storm([client for client in clients if client.home != "browser"], fleet)
            await campaign.storm([client for client in clients if client.home == "browser"], fleet)
            diary("all have spoken")
            await _settle(campaign, database)
            await _read_all(servers["POVOD_TEST_KAFKA"], database)
            diary("all is settled")
        await campaign.close()
        found = await evidence.gather(servers["POVOD_TEST_KAFKA"], database)
        diary("all is read back")
        return Findings(campaign.played, found, fleet.kills)
    finally:
        await database.close()
        await asyncio.to_thread(fleet.stop_all)


async def _slow_key(database: Database, client: Client) -> str:
    """Make a key of the client's own, with a low rate."""
    return await create_key(database, client.name, "server", datetime.now(UTC), Limits(rate=SLOW_RATE))


def _write(path: Path, began: datetime, line: str) -> None:
    """Note what happened, for people who look into a failed run's folder."""
    with path.open("a") as file:
        file.write(f"{(datetime.now(UTC) - began).total_seconds():6.1f} {line}\n")


@asynccontextmanager
async def _drivers(clients: tuple[Client, ...], folder: Path, ca_bundle: Path) -> AsyncIterator[dict[str, Driver]]:
    """Yield the clients' drivers; all pages have one."""
    pages = browser_driver(folder) if any(client.home == "browser" for client in clients) else None
    drivers = {
        client.name: pages if pages is not None and client.home == "browser" else driver_of(client, folder, ca_bundle) for client in clients
    }
    async with AsyncExitStack() as stack:
        for driver in set(drivers.values()):
            stack.push_async_callback(driver.close)
        yield drivers


async def _settle(campaign: Campaign, database: Database) -> None:
    """Wait until everything that clients consider sent is decided; tests say what is missing after that."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SETTLING_SECONDS):
            while not campaign.expected() <= (await evidence.decided(database)).keys():  # noqa: ASYNC110 - another process's state can only be asked for
                await asyncio.sleep(0.5)


async def _read_all(bootstrap: str, database: Database) -> None:
    """Wait until nothing more lies on the topic: what is there twice has then been met twice."""
    async with asyncio.timeout(SETTLING_SECONDS):
        while not await evidence.is_all_read(bootstrap, database):  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.2)
