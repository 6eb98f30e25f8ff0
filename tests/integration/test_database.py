"""The database port when things go wrong: cancelled tasks, values and tables that are not right, closing early."""

import asyncio
import gc
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import StatementError

from services.contracts.errors import DatabaseRefused, DatabaseUnavailable, DatabaseUnusable, PovodError
from services.runtime.database import Database

COUNT = text("SELECT count(*) FROM holds")
INSERT = text("INSERT INTO holds (scope, name, held_at, held_by) VALUES ('all', :name, 0, 'test')")

PROCESS = text("SELECT pg_backend_pid()")


async def insert(database: Database, name: str) -> None:
    """Insert one row."""
    async with database.transaction() as connection:
        await connection.execute(INSERT, {"name": name})


async def count(database: Database) -> int:
    """Return the number of rows."""
    async with database.reading() as connection:
        found: int = (await connection.execute(COUNT)).scalar_one()
    return found


async def test_a_cancelled_transaction_is_rolled_back(database: Database) -> None:
    """Cancelling between statements leaves nothing and gives the connection back, on both databases."""
    for _ in range(20):
        task = asyncio.create_task(_insert_and_wait(database, begun := asyncio.Event()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await insert(database, "after")
    assert await count(database) == 1


async def _insert_and_wait(database: Database, begun: asyncio.Event) -> None:
    async with database.transaction() as connection:
        await connection.execute(INSERT, {"name": "cancelled"})
        begun.set()
        await asyncio.Event().wait()


async def test_cancelling_at_any_moment_leaves_the_database_usable(database: Database) -> None:
    """Tasks cancelled while connecting, beginning, inserting or committing: rows are there whole or not at all, the pool is whole."""
    tasks = [asyncio.create_task(insert(database, f"row-{n}")) for n in range(40)]
    for turn, task in enumerate(tasks):
        for _ in range(turn):
            await asyncio.sleep(0)
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    certain = sum(1 for each in ended if each is None)
    await asyncio.gather(*(insert(database, f"after-{n}") for n in range(20)))
    assert certain + 20 <= await count(database) <= 60


@pytest.mark.postgres
async def test_a_connection_whose_statement_took_too_long_is_not_used_again(postgres_url: str) -> None:
    """The next transaction runs on another connection, at once: the driver may still be cancelling on the old one."""
    database = Database(postgres_url, pool_size=1, patience=timedelta(milliseconds=200))
    async with database.reading() as connection:
        first = (await connection.execute(PROCESS)).scalar_one()
    with pytest.raises(DatabaseUnavailable):
        await _execute(database, "SELECT pg_sleep(:x)", {"x": 20.0})
    async with asyncio.timeout(1), database.reading() as connection:
        second = (await connection.execute(PROCESS)).scalar_one()
    assert first != second
    await database.close()


async def test_an_exception_of_the_block_keeps_the_connection(database: Database) -> None:
    """Only what the driver raises costs a connection."""
    connections: list[object] = []
    for error in (ValueError("the block's own"), TimeoutError("the block's own")):
        with pytest.raises(type(error)):
            await _note_and_raise(database, connections, error)
    assert len(connections) == 2
    assert connections[0] is connections[1]


async def _note_and_raise(database: Database, connections: list[object], error: Exception) -> None:
    async with database.transaction() as connection:
        connections.append((await connection.get_raw_connection()).driver_connection)
        raise error


@pytest.mark.parametrize(
    ("statement", "values", "expected"),
    [
        ("INSERT INTO holds (scope, name, held_at, held_by) VALUES ('all', 'a', :x, '')", {"x": 2**70}, DatabaseRefused),
        ("INSERT INTO holds (scope, name, held_at, held_by) VALUES ('all', :x, 0, '')", {"x": "\ud800"}, DatabaseRefused),
        ("INSERT INTO holds (scope, name, held_at, held_by) VALUES ('all', 'a', NULL, :x)", {"x": "me"}, DatabaseRefused),
        ("SELECT * FROM no_such_table WHERE x = :x", {"x": 1}, DatabaseUnusable),
        ("SELECT no_such_column FROM holds WHERE name = :x", {"x": ""}, DatabaseUnusable),
        ("INSERT INTO holds VALUES (:x)", {}, StatementError),
    ],
)
async def test_wrong_values_are_refused_and_wrong_tables_are_fatal(
    database: Database, statement: str, values: dict[str, Any], expected: type[Exception]
) -> None:
    """A fault of the data is not retried, a missing table calls a person, a mistake in our own call stays a bug; none blocks the pool."""
    for _ in range(2):
        with pytest.raises(expected):
            await _execute(database, statement, values)
    await insert(database, "after")


async def _execute(database: Database, statement: str, values: dict[str, Any]) -> None:
    async with database.transaction() as connection:
        await connection.execute(text(statement), values)


@pytest.mark.postgres
async def test_postgresql_refuses_a_nul(postgres_database: Database) -> None:
    """A NUL in a text is a fault of the data (SQLite stores it)."""
    with pytest.raises(DatabaseRefused):
        await insert(postgres_database, "a\x00b")


async def test_our_own_exceptions_pass_through(database: Database) -> None:
    """What the block raises comes out as it was, and what it wrote is gone; a time-out of the block's own is not the database's."""
    for error in (PovodError("ours"), TimeoutError("its own"), FileNotFoundError("its own")):
        with pytest.raises(type(error)) as caught:
            await _insert_and_raise(database, error)
        assert caught.value is error
    assert await count(database) == 0


async def _insert_and_raise(database: Database, error: Exception) -> None:
    async with database.transaction() as connection:
        await connection.execute(INSERT, {"name": "x"})
        raise error


@pytest.mark.parametrize("url", ["postgresql://povod@127.0.0.1:1/povod", "postgresql://povod@no-such-host.invalid/povod"])
async def test_a_server_that_is_not_there_is_unavailable(url: str) -> None:
    """Refused connections and unknown hosts are worth another try."""
    database = Database(url)
    with pytest.raises(DatabaseUnavailable):
        await insert(database, "x")
    assert not await database.is_healthy()
    await database.close()


async def test_a_file_that_can_not_be_opened_is_fatal(tmp_path: Path) -> None:
    """A missing folder or a file that is no database calls a person."""
    (tmp_path / "text.db").write_text("this is no database, but long enough to look like one" * 100)
    for path in (tmp_path / "nowhere" / "state.db", tmp_path / "text.db"):
        database = Database(f"sqlite:///{path}")
        with pytest.raises(DatabaseUnusable):
            await insert(database, "x")
        await database.close()


async def test_errors_hide_the_values(database: Database) -> None:
    """A customer's data is in no message of an error, nor in what caused it."""
    with pytest.raises(DatabaseUnusable) as caught:
        await _execute(database, "SELECT * FROM no_such_table WHERE name = :x", {"x": "ann@shop.example"})
    assert "ann@shop.example" not in f"{caught.value} {caught.value.__cause__}"


async def test_closing_lets_open_transactions_end(database_url: str) -> None:
    """A transaction that is open while its database is closed still commits, and leaves no connection behind."""
    database = Database(database_url)
    async with database.transaction() as connection:
        await connection.execute(INSERT, {"name": "late"})
        await database.close()
    await database.close()
    gc.collect()  # a connection left behind would warn here, and warnings are errors
    other = Database(database_url)
    assert await count(other) == 1
    await other.close()


def test_a_process_that_forgets_to_close_still_ends(tmp_path: Path) -> None:
    """A command that fails before it closes its database does not hang at its end."""
    code = (
        "import asyncio\nfrom services.runtime.database import Database\n"
        "async def main():\n"
        f"    async with Database('sqlite:///{tmp_path}/state.db').reading() as connection:\n"
        "        await connection.exec_driver_sql('SELECT 1')\n"
        "    raise SystemExit(3)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=30, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 3
