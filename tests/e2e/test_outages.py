"""Outages and restarts under load, with real processes: the door says so in time, nothing acknowledged is lost, all goes on by itself."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from sqlalchemy import text

from services.runtime.database import Database
from tests.kill import engines
from tests.kill.fleet import Fleet
from tests.kill.rounds import wait_until_ready

ROOT = Path(__file__).parents[2]
MARGIN = 0.25
"""Seconds that a busy test machine may add to the second promised."""
pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]


class Servers:
    """A Kafka and a PostgreSQL of the test's own, which it may kill."""

    def __init__(self, state: Path) -> None:
        self._state = state
        (state / "libs").symlink_to(ROOT / "deploy" / "local" / ".state" / "libs")

    async def do(self, command: str) -> dict[str, str]:
        """Run a command of `deploy/local/services.py` while the load goes on; return the addresses that it printed."""
        return await asyncio.to_thread(self.do_now, command)

    def do_now(self, command: str) -> dict[str, str]:
        """Do it and wait."""
        program = (sys.executable, str(ROOT / "deploy" / "local" / "services.py"), command, "--state", str(self._state))
        done = subprocess.run(program, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return dict(word.split("=", 1) for word in done.stdout.split() if "=" in word)


@dataclass
class Answers:
    """What the clients were told: acknowledged ids, and how long each refusal took (seconds)."""

    acknowledged: set[str] = field(default_factory=set)
    refusals: list[float] = field(default_factory=list)
    others: list[int] = field(default_factory=list)


@dataclass
class Shop:
    """Running processes and their clients."""

    engine: engines.Engine
    fleet: Fleet
    servers: Servers
    addresses: dict[str, str]
    answers: Answers
    stop: asyncio.Event

    async def post_until_stopped(self, name: str) -> None:
        """Post one small batch after the other, whatever the answers are."""
        headers = {"Authorization": f"Bearer {self.engine.write_key}"}
        async with httpx.AsyncClient(base_url=self.engine.base_url, headers=headers, timeout=10) as http:
            number = 0
            while not self.stop.is_set():
                ids = [f"{name}-{number}-{i}" for i in range(5)]
                number += 1
                await self._post(http, ids)
                await asyncio.sleep(0.01)

    async def _post(self, http: httpx.AsyncClient, ids: list[str]) -> None:
        began = time.monotonic()
        answer = await http.post("/v1/events", json=[{"id": i, "type": "product.viewed", "customer": i[-3:], "data": {}} for i in ids])
        if answer.status_code == httpx.codes.OK:
            self.answers.acknowledged.update(ids)
        elif answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            assert answer.headers["Retry-After"].isdigit()
            self.answers.refusals.append(time.monotonic() - began)
        else:
            self.answers.others.append(answer.status_code)


@pytest.fixture
def servers(own_kafka: None, tmp_path: Path) -> Iterator[Servers]:
    """Return servers of the test's own, stopped in the end."""
    servers = Servers(tmp_path)
    try:
        yield servers
    finally:
        servers.do_now("stop")


@pytest.fixture
async def shop(servers: Servers, tmp_path: Path) -> AsyncIterator[Shop]:
    """Return an ingest and a rules process on fresh servers, with eight clients posting to them."""
    addresses = await servers.do("start")
    (logs := tmp_path / "logs").mkdir()
    engine = await engines.kafka_engine(logs, smtp_port=9, servers=addresses)
    environment = {**engine.environment, "POVOD_INGEST__SHARE_PORT": "true", "POVOD_INGEST__LEAVE_FOR": "1s"}
    fleet = Fleet({"ingest": ("ingest",), "rules-1": ("rules",), "second": ("ingest",)}, environment, logs)
    running = Shop(engine, fleet, servers, addresses, Answers(), asyncio.Event())
    try:
        fleet.start("ingest")
        fleet.start("rules-1")
        await wait_until_ready(engine.base_url)
        async with asyncio.TaskGroup() as group:
            for n in range(8):
                group.create_task(running.post_until_stopped(f"client{n}"))
            try:
                yield running
            finally:
                running.stop.set()
        assert fleet.dead() == ()
    finally:
        fleet.stop_all()


async def logged_ids(bootstrap: str) -> set[str]:
    """Read the whole events topic with a client that knows nothing of us."""
    consumer = AIOKafkaConsumer("povod.events", bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        found: set[str] = set()
        while any([await consumer.position(at) < end for at, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found.update(msgspec.json.decode(record.value)["id"] for record in records)
        return found
    finally:
        await consumer.stop()


async def test_a_broker_that_stops_is_told_within_a_second_and_loses_nothing(shop: Shop) -> None:
    """Killed under load, the broker turns answers into 503 within a second; every 200 that was given is in the log afterwards."""
    answers = shop.answers
    await asyncio.sleep(2)
    await shop.servers.do("kill-kafka")
    before = len(answers.acknowledged)
    await asyncio.sleep(4)
    await shop.servers.do("restart-kafka")
    after = len(answers.acknowledged)
    async with asyncio.timeout(40):
        while len(answers.acknowledged) < after + 100:  # noqa: ASYNC110 - another process is waited for
            await asyncio.sleep(0.1)
    shop.stop.set()
    await asyncio.sleep(1)
    assert before > 0
    assert answers.others == []
    assert len(answers.refusals) >= 8
    assert max(answers.refusals) <= 1.0 + MARGIN
    assert answers.acknowledged <= await logged_ids(shop.addresses["POVOD_TEST_KAFKA"])


async def test_doors_restarted_one_after_the_other_lose_no_request(shop: Shop) -> None:
    """Two processes share the port; each in turn is told to stop and started again, and every request is answered with 200."""
    answers, fleet = shop.answers, shop.fleet
    await started_again(fleet, "second", times=1)
    for times in (2, 3):
        for name in ("ingest", "second"):
            before = len(answers.acknowledged)
            await asyncio.to_thread(fleet.stop, name)
            await started_again(fleet, name, times=times)
            assert len(answers.acknowledged) > before
    shop.stop.set()
    await asyncio.sleep(1)
    assert (answers.refusals, answers.others) == ([], [])
    assert answers.acknowledged == await logged_ids(shop.addresses["POVOD_TEST_KAFKA"])


async def started_again(fleet: Fleet, name: str, times: int) -> None:
    """Start a door and wait until it has said so for the `times`th time."""
    fleet.start(name)
    async with asyncio.timeout(30):
        while fleet.count_in_logs("ingest.started", name) < times:  # noqa: ASYNC110 - another process is waited for
            await asyncio.sleep(0.1)


async def test_rules_go_on_by_themselves_when_the_database_is_back(shop: Shop) -> None:
    """While PostgreSQL is away ingest goes on; within ten seconds of its return rules have decided all that was acknowledged."""
    answers, database = shop.answers, Database(shop.engine.environment["POVOD_DATABASE__URL"])
    try:
        await asyncio.sleep(2)
        await shop.servers.do("kill-postgres")
        before = len(answers.acknowledged)
        await asyncio.sleep(5)
        assert len(answers.acknowledged) > before
        await shop.servers.do("restart-postgres")
        shop.stop.set()
        returned = time.monotonic()
        async with asyncio.timeout(10):
            while await decided(database) < len(answers.acknowledged):  # noqa: ASYNC110 - another process is waited for
                await asyncio.sleep(0.1)
        assert time.monotonic() - returned <= 10
        assert answers.others == []
        assert answers.refusals == []
    finally:
        await database.close()


async def decided(database: Database) -> int:
    """Return how many events history holds."""
    async with database.reading() as connection:
        count: int = (await connection.execute(text("SELECT count(*) FROM history WHERE kind = 'event'"))).scalar_one()
    return count
