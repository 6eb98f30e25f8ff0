"""A PostgreSQL that goes away and comes back: the rules go on by themselves, and nothing is decided twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from services.runtime.database import Database
from services.runtime.migrate import upgrade
from tests.builders import HOUR, NOON
from tests.integration.test_database_restarts import Server
from tests.rules_desk import Desk, opened_desk
from tests.rules_shop_day import shop_day

pytestmark = pytest.mark.postgres


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Return a server of this test's own."""
    found = Server(Path(mkdtemp(prefix="povod-rules-")))
    yield found
    found.start()


@pytest.fixture
async def desk(server: Server, tmp_path: Path) -> AsyncIterator[Desk]:
    """Return a desk on that server."""
    database = Database(server.url)
    await upgrade(database)
    async with opened_desk(tmp_path, database, NOON + 12 * HOUR) as found:
        yield found
    await database.close()


async def test_rules_go_on_within_ten_seconds_of_the_databases_return(server: Server, desk: Desk) -> None:
    """Crashed in the middle of the work and started again, the database has every event decided once within ten seconds."""
    events = shop_day()
    async with desk.running(batch=5):
        await desk.append(events[:150])
        while (await desk.rows("SELECT count(*) FROM history"))[0][0] == 0:  # noqa: ASYNC110 - the database can only be asked
            await asyncio.sleep(0.01)
        await asyncio.to_thread(server.crash)
        await desk.append(events[150:])
        await asyncio.sleep(1.5)
        await asyncio.to_thread(server.start)
        await desk.drained(10)
    decided = [row.input_id for row in await desk.history() if row.kind == "event"]
    assert sorted(decided) == sorted({event.id for event in events})
