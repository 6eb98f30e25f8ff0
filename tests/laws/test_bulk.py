"""Bulk statements and bundles: the same words, the same answers on both databases."""

from typing import Any

import pytest
from sqlalchemy import text

from services.contracts.errors import DatabaseRefused, DatabaseUnusable
from services.contracts.ids import ContentHash
from services.runtime import bundles
from services.runtime.bulk import BulkInsert, BulkStatement
from services.runtime.database import Database

ADD = BulkStatement(
    "INSERT INTO holds (scope, name, held_at, held_by) SELECT scope, name, held_at, :by FROM {rows} WHERE true"
    " ON CONFLICT (scope, name) DO UPDATE SET held_at = excluded.held_at",
    scope="text",
    name="text",
    held_at="bigint",
)
INSERT = BulkInsert("holds", scope="text", name="text", held_at="bigint", held_by="text")
KINDS = BulkStatement("SELECT a, b, c, d FROM {rows}", a="text", b="bigint", c="integer", d="boolean")


async def test_many_rows_are_one_statement(database: Database) -> None:
    """Rows are inserted or updated together; the answer's row count is theirs, and no rows are no change."""
    async with database.transaction() as connection:
        assert (await ADD.execute(connection, [("channel", f"c{n}", n) for n in range(3000)], {"by": "me"})).rowcount == 3000
        await ADD.execute(connection, [("channel", "c7", -1)], {"by": "me"})
        await ADD.execute(connection, [], {"by": "me"})
        found = (await connection.execute(text("SELECT count(*), min(held_at) FROM holds"))).one()
    assert tuple(found) == (3000, -1)


async def test_values_come_through_as_they_are(database: Database) -> None:
    """Texts of any language, quotes, JSON, large numbers, nulls and booleans are the same on the other side."""
    rows = [('Жанна \'x\' "y" {"a": [1]}\n\\ 🙂', 2**62, -(2**31), True), ("", -(2**63), 0, False), (None, None, None, None)]
    async with database.reading() as connection:
        found = [tuple(row) for row in await KINDS.execute(connection, rows)]
    assert [(a, b, c, None if d is None else bool(d)) for a, b, c, d in found] == rows


async def test_bundles_are_kept_by_their_content(database: Database) -> None:
    """The same files in any order are one bundle under one hash; an unknown hash is None."""
    files = {"journeys/b.yaml": "journey: b\n", "policy.yaml": "# Правила\n"}
    async with database.transaction() as connection:
        first = await bundles.save(connection, "ruleset", "shop", files, 1)
        again = await bundles.save(connection, "ruleset", "shop", dict(reversed(files.items())), 2)
        other = await bundles.save(connection, "ruleset", "shop", {**files, "policy.yaml": "# Rules\n"}, 3)
        assert first == again == bundles.hash_of(files) != other
        assert await bundles.load(connection, first) == files
        assert await bundles.load(connection, ContentHash("nothing")) is None


def held(number: int, name: str = "") -> tuple[str, str, int, str]:
    """Return a row of `holds`."""
    return ("channel", name or f"c{number}", number, "me")


async def test_inserted_rows_belong_to_the_transaction(database: Database) -> None:
    """Rows of a transaction that fails are gone, also where the insert was its first statement; those of one that does not stay."""
    with pytest.raises(RuntimeError):
        await _insert_and_fail(database)
    async with database.transaction() as connection:
        await INSERT.execute(connection, [held(n) for n in range(3000)])
        await INSERT.execute(connection, [])
    async with database.reading() as connection:
        found = (await connection.execute(text("SELECT count(*), min(held_at), min(name) FROM holds"))).one()
    assert tuple(found) == (3000, 0, "c0")


async def _insert_and_fail(database: Database) -> None:
    async with database.transaction() as connection:
        await INSERT.execute(connection, [held(-1)])
        raise RuntimeError("crash")


@pytest.mark.parametrize(
    "rows",
    [
        [held(1), held(1)],
        [held(n) for n in range(2_000)] + [held(1, "\ud800")],
        [("channel", "a", 1, None)],
    ],
    ids=["twice", "a lone surrogate", "a missing value"],
)
async def test_rows_that_can_not_be_stored_are_refused(database: Database, rows: list[Any]) -> None:
    """Nothing of them is stored, and the connection goes on to be used."""
    for _ in range(3):
        with pytest.raises(DatabaseRefused):
            await _insert(database, rows)
        await _insert(database, [])
    async with database.reading() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM holds"))).scalar_one() == 0


async def _insert(database: Database, rows: list[Any]) -> None:
    async with database.transaction() as connection:
        await INSERT.execute(connection, rows)


async def test_inserting_into_a_missing_table_is_fatal(database: Database) -> None:
    """A table that is not there means that the database was not migrated."""
    with pytest.raises(DatabaseUnusable):
        async with database.transaction() as connection:
            await BulkInsert("nowhere", name="text").execute(connection, [("a",)])
