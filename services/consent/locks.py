"""The consent lock: whoever claims messages shares it, whoever writes a consent or suppression has it alone.

So an unsubscribe that was committed (and only then acknowledged) is seen by every later claim, and one that is being written waits for
claims under way to commit. PostgreSQL: transaction-level advisory locks on stripes, all of a transaction taken in one statement in
rising order (no deadlock), released by its end; what must see the result is read in a later statement (READ COMMITTED takes a new
snapshot for each). SQLite: nothing to do, `BEGIN IMMEDIATE` lets one writer in at a time.

Call one of the two functions once in a transaction, before reading consents: shared first and exclusive later may deadlock.
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.ids import CustomerId
from services.contracts.partitioning import murmur2

STRIPES = 64
"""More stripes make strangers wait less for one another; a claim of 200 messages takes nearly all of them anyway."""
_SPACE = 0x706F766F
"""The first of the two keys of our advisory locks ("povo"), to keep clear of other users of the database."""
_SHARED = text("SELECT pg_advisory_xact_lock_shared(:space, stripe) FROM unnest(CAST(:stripes AS integer[])) AS taken(stripe)")
_EXCLUSIVE = text("SELECT pg_advisory_xact_lock(:space, stripe) FROM unnest(CAST(:stripes AS integer[])) AS taken(stripe)")


async def lock_for_claims(connection: AsyncConnection, customers: Iterable[CustomerId], addresses: Iterable[str]) -> None:
    """Share the lock of these customers and addresses until the transaction's end. Waits for writers under way."""
    await _lock(connection, stripes_of(customers, addresses), exclusive=False)


async def lock_for_changes(connection: AsyncConnection, customers: Iterable[CustomerId] = (), addresses: Iterable[str] = ()) -> None:
    """Have the lock of these customers and addresses alone until the transaction's end. Waits for claims and writers under way."""
    await _lock(connection, stripes_of(customers, addresses), exclusive=True)


def stripes_of(customers: Iterable[CustomerId], addresses: Iterable[str]) -> list[int]:
    """Return the stripes of customers and addresses (however they are spelt), each once, rising."""
    stripes = {murmur2(f"c{customer}".encode()) % STRIPES for customer in customers}
    stripes |= {murmur2(f"a{address.strip().lower()}".encode()) % STRIPES for address in addresses}
    return sorted(stripes)


async def _lock(connection: AsyncConnection, stripes: list[int], *, exclusive: bool) -> None:
    if stripes and connection.dialect.name == "postgresql":
        await connection.execute(_EXCLUSIVE if exclusive else _SHARED, {"space": _SPACE, "stripes": stripes})
