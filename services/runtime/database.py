"""The database port: one SQLAlchemy engine, SQLite or PostgreSQL, short transactions, translated errors.

Hot statements are `text()` with array parameters (`services.runtime.bulk`); there is no ORM. Stored times are microseconds
(`services.contracts.moments`).
"""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import event, exc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from services.contracts.errors import PovodError
from services.runtime.database_errors import leaves_doubt, translation_of

Dialect = Literal["sqlite", "postgresql"]
PATIENCE = timedelta(seconds=15)
"""Longer than any of our statements, locks included; so a server behind a cut cable is given up, not waited for."""
_SESSION = {
    "plan_cache_mode": "force_custom_plan",
    "idle_in_transaction_session_timeout": "10000",
    "lock_timeout": "5000",
}
"""How every PostgreSQL session is set (times in milliseconds).

A plan made while a table was empty must not be kept. A process that is stopped inside a transaction loses it, and its locks with it,
so that a new owner can take the partition; whoever waits for a lock gives up in time and tries again.
"""


class Database:
    """A pool of connections and how transactions are made on it.

    On SQLite there is one writing connection (`BEGIN IMMEDIATE`, WAL, `synchronous=FULL`) and a few reading ones; writers queue
    for it. On PostgreSQL transactions are READ COMMITTED and plans are always made for the real parameters.
    """

    def __init__(self, url: str, *, pool_size: int = 8, patience: timedelta = PATIENCE, name: str = "povod") -> None:
        """`url` as SQLAlchemy spells it, without a driver: `sqlite:////path/state.db` or `postgresql://user@host/name`.

        `patience` is how long one statement may take on PostgreSQL before its server counts as lost (real time).
        `name` is what PostgreSQL shows of our sessions (`application_name`).
        """
        self.dialect: Dialect = "sqlite" if url.startswith("sqlite") else "postgresql"
        self._writer = _sqlite(url, "BEGIN IMMEDIATE", 1) if self.dialect == "sqlite" else _postgresql(url, pool_size, patience, name)
        self._reader = _sqlite(url, "BEGIN", pool_size) if self.dialect == "sqlite" else self._writer
        self._is_closed = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Run the block in one writing transaction: committed at its end, rolled back by any exception.

        Raises `DatabaseUnavailable` where the server was lost or gave the transaction up (also at commit, whose result is then
        unknown: the fence tells), `DatabaseRefused` where it refused the values, `DatabaseUnusable` where tables or rights are
        missing. Povod's own exceptions pass through. May be cancelled: then it is rolled back.
        """
        async with self._run(self._writer) as connection:
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Run the block in a transaction that only reads (one snapshot on SQLite). Raises as `transaction` does."""
        async with self._run(self._reader) as connection:
            yield connection

    async def is_healthy(self) -> bool:
        """Say whether the database answers; never raises."""
        try:
            async with self.reading() as connection:
                await connection.exec_driver_sql("SELECT 1")
        except PovodError:
            return False
        return True

    async def close(self) -> None:
        """Close all connections; one that is in a transaction is closed at its end. Harmless twice."""
        self._is_closed = True
        await self._writer.dispose()
        await self._reader.dispose()

    @asynccontextmanager
    async def _run(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        """Begin, run the block, commit; foreign exceptions become ours."""
        at_the_edge = True
        try:
            async with engine.begin() as connection:
                at_the_edge = False
                try:
                    yield connection
                except Exception as error:
                    if leaves_doubt(error):
                        await connection.invalidate(error)
                    raise
                finally:
                    await self._let_go(connection)
                at_the_edge = True
        except Exception as error:
            ours = translation_of(error, at_the_edge=at_the_edge)
            if ours is None:
                raise
            raise ours from error

    async def _let_go(self, connection: AsyncConnection) -> None:
        """Keep the connection of a closed database out of a pool that nobody closes any more."""
        if self._is_closed and not connection.closed and not connection.invalidated:
            await connection.run_sync(lambda sync: sync.detach())


class _RollingBack(sqlite3.Connection):
    """A connection whose closing ends its transaction, whatever still refers to it.

    Python closes by `sqlite3_close_v2`: as long as a cursor of an interrupted statement lives (in a traceback, say), the closed
    connection goes on as a "zombie" and keeps its locks. A rollback takes effect under open cursors too.
    https://www.sqlite.org/c3ref/close.html
    """

    def close(self) -> None:
        """Roll back, then close; harmless twice."""
        with suppress(sqlite3.ProgrammingError):  # closed before
            self.rollback()
        super().close()


def _sqlite(url: str, begin: str, pool_size: int) -> AsyncEngine:
    engine = create_async_engine(
        url.replace("sqlite:", "sqlite+aiosqlite:", 1),
        poolclass=AsyncAdaptedQueuePool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=60,
        hide_parameters=True,
        connect_args={"factory": _RollingBack},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgresql(url: str, pool_size: int, patience: timedelta, name: str) -> AsyncEngine:
    engine = create_async_engine(
        url.replace("postgresql:", "postgresql+asyncpg:", 1),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        hide_parameters=True,
        connect_args={
            "timeout": 5,
            "command_timeout": patience.total_seconds(),
            "server_settings": {**_SESSION, "application_name": name},
        },
    )

    @event.listens_for(engine.sync_engine, "checkout")
    def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
        # Costs nothing, unlike a ping: asyncpg has noticed when the server went away. One closed connection renews them all.
        if connection.driver_connection.is_closed():
            raise exc.InvalidatePoolError

    return engine
