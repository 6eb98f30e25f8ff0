"""Bulk statements and bundles: the same words, the same answers on both databases."""

from sqlalchemy import text

from services.contracts.ids import ContentHash
from services.runtime import bundles
from services.runtime.bulk import BulkStatement
from services.runtime.database import Database

ADD = BulkStatement(
    "INSERT INTO holds (scope, name, held_at, held_by) SELECT scope, name, held_at, :by FROM {rows} WHERE true"
    " ON CONFLICT (scope, name) DO UPDATE SET held_at = excluded.held_at",
    scope="text",
    name="text",
    held_at="bigint",
)
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
