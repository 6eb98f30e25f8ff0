"""One statement for many rows: arrays to `unnest` on PostgreSQL, one JSON document to `json_each` on SQLite.

A statement is written once, with `{rows}` where its row source goes:

    UPSERT = BulkStatement(
        "INSERT INTO customers (bucket, customer, document) SELECT bucket, customer, document FROM {rows} WHERE true "
        "ON CONFLICT (bucket, customer) DO UPDATE SET document = excluded.document",
        bucket="integer", customer="text", document="text",
    )
    await UPSERT.execute(connection, [(1, "ann", "{}"), ...])

(SQLite's grammar wants the `WHERE true` before `ON CONFLICT` of an insert from a select.)
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import CursorResult, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

ColumnType = Literal["text", "bigint", "integer", "boolean"]


class BulkStatement:
    """A statement over many rows, the same words on both databases."""

    def __init__(self, statement: str, **columns: ColumnType) -> None:
        """`columns` are the row source's columns in order, with their PostgreSQL types."""
        self._names = tuple(columns)
        arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in columns.items())
        fields = ", ".join(f"json_extract(value, '$[{i}]') AS {name}" for i, name in enumerate(columns))
        self._postgresql = text(statement.format(rows=f"unnest({arrays}) AS rows({', '.join(columns)})"))
        self._sqlite = text(statement.format(rows=f"(SELECT {fields} FROM json_each(:rows)) AS rows"))  # noqa: S608 - our own names, no values

    async def execute(
        self, connection: AsyncConnection, rows: Sequence[Sequence[Any]], parameters: Mapping[str, Any] | None = None
    ) -> CursorResult[Any]:
        """Run it over `rows` (tuples in the order of the columns); `parameters` are the statement's other `:names`."""
        statement, bound = self._bind(connection.dialect.name, rows)
        return await connection.execute(statement, {**bound, **(parameters or {})})

    def _bind(self, dialect: str, rows: Sequence[Sequence[Any]]) -> tuple[TextClause, dict[str, Any]]:
        if dialect == "sqlite":
            return self._sqlite, {"rows": msgspec.json.encode(rows).decode()}
        columns = zip(*rows, strict=True) if rows else ((),) * len(self._names)
        return self._postgresql, dict(zip(self._names, map(list, columns), strict=True))


class BulkInsert:
    """Rows added to a table that has none of their keys yet: COPY on PostgreSQL (half the work of an insert), JSON on SQLite.

    PostgreSQL's column types must be those that the Python values have: nothing is cast.
    """

    def __init__(self, table: str, **columns: ColumnType) -> None:
        """`columns` are the table's, those left out get their defaults."""
        self._table = table
        self._names = tuple(columns)
        names = ", ".join(columns)
        self._sqlite = BulkStatement(f"INSERT INTO {table} ({names}) SELECT {names} FROM {{rows}}", **columns)  # noqa: S608 - our own names

    async def execute(self, connection: AsyncConnection, rows: Sequence[Sequence[Any]]) -> None:
        """Add `rows` (tuples in the order of the columns) inside the connection's transaction."""
        if connection.dialect.name == "sqlite":
            await self._sqlite.execute(connection, rows)
            return
        driver: Any = (await connection.get_raw_connection()).driver_connection
        if not driver.is_in_transaction():  # SQLAlchemy begins with the first statement of its own
            await connection.exec_driver_sql("SELECT 1")
        await driver.copy_records_to_table(self._table, records=rows, columns=self._names)
