"""Write keys in both databases, and the ring that keeps them in memory."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from services.contracts.errors import Rejected
from services.ingest.keyring import KeyRing
from services.ingest.keys import KeyInfo, Scope, WriteKey, create_key, digest, list_keys, revoke_key
from services.ingest.refusals import RequestRefused
from services.runtime.clock import FrozenClock
from services.runtime.database import Database
from tests.integration.ingest.door import until


def _code(ring: KeyRing, secret: str) -> str:
    with pytest.raises(RequestRefused) as raised:
        ring.find(secret)
    return raised.value.code


async def test_only_the_hash_is_kept(database: Database, frozen_clock: FrozenClock) -> None:
    """A key is shown once: the database holds its SHA-256, and the key nowhere."""
    secret = await create_key(database, "shop", "server", frozen_clock.now())
    async with database.reading() as connection:
        (row,) = (await connection.execute(text("SELECT * FROM api_keys"))).all()
    assert row.hash == digest(secret)
    assert secret not in map(str, row)


@pytest.mark.parametrize(("scope", "prefix", "trusted"), [("server", "sk_", True), ("browser", "pk_", False)])
async def test_a_key_tells_its_scope(database: Database, frozen_clock: FrozenClock, scope: Scope, prefix: str, trusted: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A server key begins with sk_ and is trusted, a browser key with pk_ and is not; both hold 32 random bytes."""
    secret = await create_key(database, "shop", scope, frozen_clock.now())
    ring = KeyRing(database, frozen_clock)
    await ring.refresh()
    assert secret.startswith(prefix)
    assert len(secret) == len(prefix) + 43
    assert ring.find(secret) == WriteKey("shop", trusted, scope)


async def test_names_are_unique_for_ever(database: Database, frozen_clock: FrozenClock) -> None:
    """A name is half of the deduplication key: it is not given twice, a revoked key's neither."""
    now = frozen_clock.now()
    await create_key(database, "shop", "server", now)
    await revoke_key(database, "shop", now)
    with pytest.raises(Rejected) as raised:
        await create_key(database, "shop", "server", now)
    assert raised.value.code == "name_taken"


@pytest.mark.parametrize("name", ["", "  ", "n" * 65, "a\nb"])
async def test_names_are_short_and_printable(sqlite_database: Database, frozen_clock: FrozenClock, name: str) -> None:
    """A name has 1 to 64 printable characters."""
    with pytest.raises(Rejected) as raised:
        await create_key(sqlite_database, name, "server", frozen_clock.now())
    assert raised.value.code == "invalid_name"


async def test_keys_are_listed_and_revoked(database: Database, frozen_clock: FrozenClock) -> None:
    """The list shows every key with its times, oldest first; a key is revoked once."""
    made_at = frozen_clock.now()
    await create_key(database, "shop", "server", made_at)
    frozen_clock.advance(timedelta(hours=1))
    await create_key(database, "web", "browser", frozen_clock.now())
    assert await revoke_key(database, "shop", frozen_clock.now()) is True
    assert await revoke_key(database, "shop", frozen_clock.now()) is False
    assert await revoke_key(database, "nobody", frozen_clock.now()) is False
    assert await list_keys(database) == [
        KeyInfo("shop", "server", made_at, frozen_clock.now()),
        KeyInfo("web", "browser", frozen_clock.now(), None),
    ]


async def test_before_the_first_reading_the_answer_is_503(database: Database, frozen_clock: FrozenClock) -> None:
    """Without the keys nobody is called unknown: a 401 would make SDKs throw their events away."""
    ring = KeyRing(database, frozen_clock)
    assert _code(ring, "sk_x") == "keys_unavailable"
    await ring.refresh()
    assert _code(ring, "sk_x") == "unauthorized"


async def test_the_ring_follows_the_database(database: Database, frozen_clock: FrozenClock) -> None:
    """A key that is new, asked for and not known yet, is known soon; a revoked one is refused soon. It stops when told."""
    ring = KeyRing(database, frozen_clock, interval=timedelta(hours=1), soonest=timedelta(milliseconds=10))
    stop = asyncio.Event()
    running = asyncio.create_task(ring.run(stop))
    await until(lambda: ring.is_loaded)
    secret = await create_key(database, "shop", "server", frozen_clock.now())
    await until(lambda: _knows(ring, secret))
    await revoke_key(database, "shop", frozen_clock.now())
    await until(lambda: not _knows(ring, "sk_nobody") and not _knows(ring, secret))
    stop.set()
    await running


async def test_a_database_that_is_away_keeps_the_known_keys(sqlite_database: Database, frozen_clock: FrozenClock) -> None:
    """While the database can't be read, the keys in memory stay good, and the ring goes on trying."""
    secret = await create_key(sqlite_database, "shop", "server", frozen_clock.now())
    ring = KeyRing(sqlite_database, frozen_clock)
    await ring.refresh()
    away = KeyRing(Database("postgresql://nobody@127.0.0.1:1/gone"), frozen_clock, interval=timedelta(0), soonest=timedelta(0))
    stop = asyncio.Event()
    running = asyncio.create_task(away.run(stop))
    assert ring.find(secret) == WriteKey("shop", trusted=True)
    await asyncio.sleep(0)
    assert not away.is_loaded
    stop.set()
    await running


def _knows(ring: KeyRing, secret: str) -> bool:
    """Say whether the ring knows the key; asking for one it does not know makes it look."""
    try:
        ring.find(secret)
    except RequestRefused:
        return False
    return True
