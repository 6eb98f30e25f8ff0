"""What a key may do, how it is renewed, and when it was last used: in both databases and in the ring."""

import asyncio
from datetime import timedelta

import pytest

from services.contracts.errors import Rejected
from services.ingest.identity import identity_secret
from services.ingest.keyring import MAX_REMEMBERED, NOTE_USES_EVERY, KeyRing
from services.ingest.keys import KeyInfo, LimitChanges, Limits, create_key, demands_signature, limit_key, list_keys, revoke_key, rotate_key
from services.ingest.refusals import RequestRefused
from services.runtime.clock import FrozenClock
from services.runtime.database import Database
from tests.integration.ingest.door import until

SHOP = "https://shop.example"
WEEK = timedelta(days=7)


def _code(ring: KeyRing, secret: str) -> str | None:
    """Return why a key is refused, None where it is good."""
    try:
        ring.find(secret)
    except RequestRefused as refused:
        return refused.code
    return None


async def _ring(database: Database, clock: FrozenClock, *link_secrets: str) -> KeyRing:
    ring = KeyRing(database, clock, link_secrets=link_secrets)
    await ring.refresh()
    return ring


async def _only(database: Database) -> KeyInfo:
    (key,) = await list_keys(database)
    return key


async def test_limits_are_kept_and_in_the_ring(database: Database, frozen_clock: FrozenClock) -> None:
    """Rate, origins and the demand for signatures are listed as they were given, and known to the ring."""
    limits = Limits(rate=50, origins=("https://b.example:8443", SHOP), require_signature=True)
    secret = await create_key(database, "web", "browser", frozen_clock.now(), limits)
    assert (await _only(database)).limits == limits
    key = (await _ring(database, frozen_clock, "newest link secret", "older link secret")).find(secret)
    assert (key.name, key.trusted, key.scope, key.rate, key.origins) == ("web", False, "browser", 50, limits.origins)
    assert key.identity == (identity_secret("newest link secret", "web"), identity_secret("older link secret", "web"))
    assert await demands_signature(database, "web") is True


async def test_without_link_secrets_nothing_is_signed(sqlite_database: Database, frozen_clock: FrozenClock) -> None:
    """A key that asks for signatures is never one that asks for none; others ask for none."""
    demanding = await create_key(sqlite_database, "web", "browser", frozen_clock.now(), Limits(require_signature=True))
    plain = await create_key(sqlite_database, "app", "browser", frozen_clock.now())
    ring = await _ring(sqlite_database, frozen_clock)
    assert (ring.find(demanding).identity, ring.find(plain).identity) == ((), None)
    assert await demands_signature(sqlite_database, "app") is False


@pytest.mark.parametrize(
    ("scope", "limits", "code"),
    [
        ("server", Limits(rate=-1), "invalid_rate"),
        ("server", Limits(rate=1_000_001), "invalid_rate"),
        ("browser", Limits(origins=("shop.example",)), "invalid_origin"),
        ("browser", Limits(origins=("https://shop.example/",)), "invalid_origin"),
        ("browser", Limits(origins=("https://shop.example https://evil.example",)), "invalid_origin"),
        ("browser", Limits(origins=tuple(f"https://{number}.example" for number in range(51))), "invalid_origin"),
        ("server", Limits(require_signature=True), "invalid_scope"),
        ("admin", Limits(require_signature=True), "invalid_scope"),
    ],
)
async def test_limits_that_can_not_be_meant_are_refused(
    sqlite_database: Database, frozen_clock: FrozenClock, scope: str, limits: Limits, code: str
) -> None:
    """A rate out of bounds, what is no origin, and signatures for a key that is a secret itself end in a sentence, and no key is made."""
    with pytest.raises(Rejected) as raised:
        await create_key(sqlite_database, "web", scope, frozen_clock.now(), limits)  # type: ignore[arg-type]  # a parameter of the test
    assert raised.value.code == code
    assert await list_keys(sqlite_database) == []


async def test_an_admin_looks_and_does_not_post(database: Database, frozen_clock: FrozenClock) -> None:
    """Each kind of key is good for its own purpose only; an administrator's origins let no page post."""
    admin = await create_key(database, "me", "admin", frozen_clock.now())
    shop = await create_key(database, "shop", "server", frozen_clock.now(), Limits(origins=(SHOP,)))
    ring = await _ring(database, frozen_clock)
    assert admin.startswith("ak_")
    assert ring.find_admin(admin).name == "me"
    assert _code(ring, admin) == "wrong_scope"
    with pytest.raises(RequestRefused) as raised:
        ring.find_admin(shop)
    assert raised.value.code == "wrong_scope"
    assert list(ring.names) == ["shop"]
    assert (ring.allows_origin(SHOP), ring.allows_origin("https://evil.example")) == (True, False)


async def test_a_key_without_origins_opens_the_preflight(sqlite_database: Database, frozen_clock: FrozenClock) -> None:
    """A preflight names no key: it passes where any key lets the origin in, and before the keys are known."""
    ring = KeyRing(sqlite_database, frozen_clock)
    assert ring.allows_origin("https://anyone.example") is True
    await create_key(sqlite_database, "shop", "browser", frozen_clock.now(), Limits(origins=("HTTPS://Shop.Example",)))
    await ring.refresh()
    assert (ring.allows_origin("https://anyone.example"), ring.allows_origin(SHOP)) == (False, True)
    await create_key(sqlite_database, "web", "browser", frozen_clock.now())
    await ring.refresh()
    assert ring.allows_origin("https://anyone.example") is True


async def test_limits_change_and_the_secret_stays(database: Database, frozen_clock: FrozenClock) -> None:
    """What is named changes, the rest stays, and who holds the key goes on with the new limits after the next refresh."""
    secret = await create_key(database, "web", "browser", frozen_clock.now(), Limits(7, (SHOP,)))
    ring = await _ring(database, frozen_clock)
    assert ring.find(secret).rate == 7
    assert await limit_key(database, "web", LimitChanges(rate=50)) == Limits(50, (SHOP,))
    assert await limit_key(database, "web", LimitChanges(origins=(), require_signature=True)) == Limits(50, (), require_signature=True)
    await ring.refresh()
    found = ring.find(secret)
    assert (found.rate, found.origins, found.identity is not None) == (50, (), True)


@pytest.mark.parametrize("changes", [LimitChanges(rate=-1), LimitChanges(origins=("shop",)), LimitChanges(require_signature=True)])
async def test_limits_that_can_not_be_meant_change_nothing(
    sqlite_database: Database, frozen_clock: FrozenClock, changes: LimitChanges
) -> None:
    """A refused change leaves the key as it was; a revoked key has no limits to change."""
    await create_key(sqlite_database, "shop", "server", frozen_clock.now(), Limits(7))
    with pytest.raises(Rejected):
        await limit_key(sqlite_database, "shop", changes)
    assert (await _only(sqlite_database)).limits == Limits(7)
    await revoke_key(sqlite_database, "shop", frozen_clock.now())
    with pytest.raises(Rejected, match="no good key"):
        await limit_key(sqlite_database, "shop", LimitChanges(rate=1))


async def test_a_rotated_key_is_good_in_both_forms_for_a_while(database: Database, frozen_clock: FrozenClock) -> None:
    """The new secret is good at once, the old one until the grace is over, to the moment; name and limits stay."""
    old = await create_key(database, "shop", "server", frozen_clock.now(), Limits(rate=7))
    ring = await _ring(database, frozen_clock)
    assert _code(ring, old) is None
    rotated_at = frozen_clock.now()
    new = await rotate_key(database, "shop", rotated_at, WEEK)
    await ring.refresh()
    assert new.startswith("sk_")
    assert new != old
    assert ring.find(new) == ring.find(old)
    assert ring.find(old).rate == 7
    key = await _only(database)
    assert (key.rotated_at, key.former_until) == (rotated_at, rotated_at + WEEK)
    frozen_clock.advance(WEEK - timedelta(microseconds=1))
    await ring.refresh()
    assert _code(ring, old) is None
    frozen_clock.advance(timedelta(microseconds=1))
    await ring.refresh()
    assert (_code(ring, old), _code(ring, new)) == ("unauthorized", None)


async def test_an_old_secret_ends_while_the_database_is_away(sqlite_database: Database, frozen_clock: FrozenClock) -> None:
    """The end of a former secret needs no database: each turn of the ring lets go of it."""
    old = await create_key(sqlite_database, "shop", "server", frozen_clock.now())
    new = await rotate_key(sqlite_database, "shop", frozen_clock.now(), WEEK)
    ring = await _ring(sqlite_database, frozen_clock)
    assert (_code(ring, old), _code(ring, new)) == (None, None)
    ring._database = Database("postgresql://nobody@127.0.0.1:1/gone")
    frozen_clock.advance(WEEK)
    stop = asyncio.Event()
    running = asyncio.create_task(ring.run(stop))
    await until(lambda: _code(ring, old) == "unauthorized")
    assert _code(ring, new) is None
    stop.set()
    await running


async def test_rotating_again_leaves_no_key_longer_than_the_grace(database: Database, frozen_clock: FrozenClock) -> None:
    """Three secrets may be good at once; a rotation without grace ends the old ones, all of them."""
    now = frozen_clock.now()
    first = await create_key(database, "shop", "server", now)
    second = await rotate_key(database, "shop", now, timedelta(days=30))
    third = await rotate_key(database, "shop", now, WEEK)
    ring = await _ring(database, frozen_clock)
    assert [_code(ring, secret) for secret in (first, second, third)] == [None, None, None]
    assert (await _only(database)).former_until == now + WEEK
    fourth = await rotate_key(database, "shop", now, timedelta(0))
    await ring.refresh()
    assert [_code(ring, secret) for secret in (first, second, third, fourth)] == ["unauthorized"] * 3 + [None]
    assert (await _only(database)).former_until is None


async def test_revoking_ends_every_secret(database: Database, frozen_clock: FrozenClock) -> None:
    """A revoked key's former secrets are as dead as itself, and it can't be rotated."""
    old = await create_key(database, "shop", "server", frozen_clock.now())
    new = await rotate_key(database, "shop", frozen_clock.now(), WEEK)
    await revoke_key(database, "shop", frozen_clock.now())
    ring = await _ring(database, frozen_clock)
    assert [_code(ring, secret) for secret in (old, new)] == ["unauthorized", "unauthorized"]
    with pytest.raises(Rejected) as raised:
        await rotate_key(database, "shop", frozen_clock.now(), WEEK)
    assert raised.value.code == "unknown_key"


@pytest.mark.parametrize("grace", [timedelta(days=366), timedelta(seconds=-1)])
async def test_a_grace_has_bounds(sqlite_database: Database, frozen_clock: FrozenClock, grace: timedelta) -> None:
    """No old secret is good for longer than a year, or until yesterday."""
    await create_key(sqlite_database, "shop", "server", frozen_clock.now())
    with pytest.raises(Rejected) as raised:
        await rotate_key(sqlite_database, "shop", frozen_clock.now(), grace)
    assert raised.value.code == "invalid_grace"


async def test_the_last_use_is_written_once_a_minute(database: Database, frozen_clock: FrozenClock) -> None:
    """Uses are collected in memory and written by the background task: at most once a minute, and when it ends."""
    shop = await create_key(database, "shop", "server", frozen_clock.now())
    ring = KeyRing(database, frozen_clock, interval=timedelta(0), soonest=timedelta(0))
    stop = asyncio.Event()
    running = asyncio.create_task(ring.run(stop))
    await until(lambda: ring.is_loaded)
    first_used_at = frozen_clock.now()
    ring.find(shop)
    await until(lambda: not ring._used)
    assert (await _only(database)).last_used_at is None
    frozen_clock.advance(NOTE_USES_EVERY)
    await _until_used(database, first_used_at)
    frozen_clock.advance(timedelta(seconds=10))
    ring.find(shop)
    stop.set()
    await running
    assert (await _only(database)).last_used_at == frozen_clock.now()


async def test_a_use_that_could_not_be_written_is_not_forgotten(sqlite_database: Database, frozen_clock: FrozenClock) -> None:
    """While the database is away the last uses stay in memory, and are written when it is back."""
    secret = await create_key(sqlite_database, "shop", "server", frozen_clock.now())
    ring = await _ring(sqlite_database, frozen_clock)
    used_at = frozen_clock.now()
    ring.find(secret)
    ring._database = Database("postgresql://nobody@127.0.0.1:1/gone")
    await ring._note_uses(at_once=True)
    frozen_clock.advance(timedelta(minutes=5))
    ring._database = sqlite_database
    await ring._note_uses(at_once=True)
    assert (await _only(sqlite_database)).last_used_at == used_at


async def test_a_good_key_is_remembered_in_bounds(sqlite_database: Database, frozen_clock: FrozenClock) -> None:
    """The secrets of good keys are remembered until the next refresh; guesses never are."""
    secrets = [await create_key(sqlite_database, f"shop {number}", "server", frozen_clock.now()) for number in range(3)]
    ring = await _ring(sqlite_database, frozen_clock)
    for secret in secrets:
        ring.find(secret)
    for guess in range(50):
        assert _code(ring, f"sk_{guess}") == "unauthorized"
    assert set(ring._remembered) == set(secrets)
    ring._remembered |= {f"old {number}": ring.find(secrets[0]) for number in range(MAX_REMEMBERED - 3)}
    fourth = await create_key(sqlite_database, "shop 4", "server", frozen_clock.now())
    await ring.refresh()
    assert ring._remembered == {}
    ring.find(fourth)
    assert set(ring._remembered) == {fourth}


async def _until_used(database: Database, at: object) -> None:
    async with asyncio.timeout(20):
        while (await _only(database)).last_used_at != at:  # noqa: ASYNC110 - a row has no event to wait on
            await asyncio.sleep(0.005)
