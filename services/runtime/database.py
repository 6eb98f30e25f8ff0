"""The database port: one SQLAlchemy engine, SQLite or PostgreSQL, short transactions, translated errors.

Hot statements are `text()` with array parameters (`services.runtime.bulk`); there is no ORM. Stored times are microseconds
(`services.contracts.moments`).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from sqlalchemy import event, exc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from services.contracts.errors import DatabaseRefused, DatabaseUnavailable, PovodError

Dialect = Literal["sqlite", "postgresql"]
_TRANSIENT_SQLSTATES = ("08", "40", "53", "55", "57")
"""Classes of SQLSTATE after which the same transaction may succeed: connection, rollback, resources, lock, operator (PostgreSQL, appendix A)."""


class Database:
    """A pool of connections and how transactions are made on it.

    On SQLite there is one writing connection (`BEGIN IMMEDIATE`, WAL, `synchronous=FULL`) and a few reading ones; writers queue
    for it. On PostgreSQL transactions are READ COMMITTED and plans are always made for the real parameters.
    """

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        """`url` as SQLAlchemy spells it, without a driver: `sqlite:////path/state.db` or `postgresql://user@host/name`."""
        self.dialect: Dialect = "sqlite" if url.startswith("sqlite") else "postgresql"
        self._writer = _sqlite(url, "BEGIN IMMEDIATE", 1) if self.dialect == "sqlite" else _postgresql(url, pool_size)
        self._reader = _sqlite(url, "BEGIN", pool_size) if self.dialect == "sqlite" else self._writer

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Run the block in one writing transaction: committed at its end, rolled back by any exception.

        Raises `DatabaseUnavailable` where the server was lost or gave the transaction up (also at commit, whose result is then
        unknown: the fence tells), `DatabaseRefused` where it refused the values. Povod's own exceptions pass through.
        """
        with _translated():
            async with self._writer.begin() as connection:
                yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Run the block in a transaction that only reads (one snapshot on SQLite). Raises as `transaction` does."""
        with _translated():
            async with self._reader.begin() as connection:
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
        """Close all connections. Harmless twice."""
        await self._writer.dispose()
        await self._reader.dispose()


class _translated:  # noqa: N801 - reads as a word in `with _translated():`
    """Turn driver exceptions into ours."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, exc.DBAPIError) and not is_transient(error):
            raise DatabaseRefused(str(error.orig), code="database_refused") from error
        if isinstance(error, (exc.SQLAlchemyError, OSError)):
            raise DatabaseUnavailable(f"the database gave up: {error.__cause__ or error}") from error


def is_transient(error: exc.DBAPIError) -> bool:
    """Say whether the same transaction may succeed on another try."""
    if error.connection_invalidated or isinstance(error, (exc.OperationalError, exc.InterfaceError)):
        return True
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None) or ""
    return str(state).startswith(_TRANSIENT_SQLSTATES)


def _sqlite(url: str, begin: str, pool_size: int) -> AsyncEngine:
    engine = create_async_engine(
        url.replace("sqlite:", "sqlite+aiosqlite:", 1),
        poolclass=AsyncAdaptedQueuePool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=60,
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


def _postgresql(url: str, pool_size: int) -> AsyncEngine:
    return create_async_engine(
        url.replace("postgresql:", "postgresql+asyncpg:", 1),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=False,
        connect_args={"timeout": 5, "server_settings": {"plan_cache_mode": "force_custom_plan", "application_name": "povod"}},
    )
