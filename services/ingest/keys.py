"""Write keys as they are kept: who may post, how much, from where. Tables `api_keys`, `api_key_former` (owner: ingest): SHA-256s only.

A key is 32 random bytes behind a prefix: `sk_` for servers (trusted to name sources and to post historical events), `pk_` for browsers,
`ak_` for administrators (they look, and can't post).
"""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import Row, text

from services.contracts.errors import Rejected
from services.contracts.moments import from_micros, to_micros
from services.runtime.database import Database

Scope = Literal["server", "browser", "admin"]
PREFIXES: Mapping[Scope, str] = {"server": "sk_", "browser": "pk_", "admin": "ak_"}
_CREATE = text(
    "INSERT INTO api_keys (hash, name, scope, created_at, rate, origins, require_signature)"
    " VALUES (:hash, :name, :scope, :created_at, :rate, :origins, :require_signature) ON CONFLICT (name) DO NOTHING"
)
_LIMITS = text("SELECT scope, rate, origins, require_signature FROM api_keys WHERE name = :name AND revoked_at IS NULL")
_LIMIT = text(
    "UPDATE api_keys SET rate = :rate, origins = :origins, require_signature = :require_signature WHERE name = :name AND revoked_at IS NULL"
)
_REVOKE = text("UPDATE api_keys SET revoked_at = :revoked_at WHERE name = :name AND revoked_at IS NULL")
_LIST = text("SELECT * FROM api_keys ORDER BY created_at, name")
_FORMER = text("SELECT name, MAX(good_until) AS good_until FROM api_key_former GROUP BY name")
_FIND = text("SELECT hash, scope, require_signature FROM api_keys WHERE name = :name AND revoked_at IS NULL")
_ROTATE = text("UPDATE api_keys SET hash = :hash, rotated_at = :now WHERE name = :name AND hash = :old AND revoked_at IS NULL")
_KEEP = text("INSERT INTO api_key_former (hash, name, good_until) VALUES (:hash, :name, :good_until)")
_SHORTEN = text("UPDATE api_key_former SET good_until = :good_until WHERE name = :name AND good_until > :good_until")
_CLEAN = text("DELETE FROM api_key_former WHERE good_until <= :now")
LONGEST_NAME = 64
MAX_ORIGINS = 50
MAX_RATE = 1_000_000
LONGEST_GRACE = timedelta(days=365)
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")


class Limits(NamedTuple):
    """What a key may do: `rate` events a second (0: the general setting), `origins` of web pages that may post with it (none: any).

    `require_signature`: an event that names a customer must carry the signature of his id (`services.ingest.identity`).
    """

    rate: int = 0
    origins: tuple[str, ...] = ()
    require_signature: bool = False


NO_LIMITS = Limits()


class LimitChanges(NamedTuple):
    """What is to be another limit of a key from now on; None: as it is."""

    rate: int | None = None
    origins: tuple[str, ...] | None = None
    require_signature: bool | None = None

    def of(self, limits: Limits) -> Limits:
        """Return the limits after the changes."""
        return limits._replace(**{name: value for name, value in self._asdict().items() if value is not None})


class KeyInfo(NamedTuple):
    """What may be shown of a key; times are aware UTC.

    `revoked_at` is None while it is good; after a rotation its former secret is good until `former_until`.
    """

    name: str
    scope: str
    created_at: datetime
    revoked_at: datetime | None
    limits: Limits = NO_LIMITS
    rotated_at: datetime | None = None
    former_until: datetime | None = None
    last_used_at: datetime | None = None


class WriteKey(NamedTuple):
    """Who posts: the key's name is the source of its events unless a `trusted` one (a server's) names another.

    `identity` are the secrets of which one must have signed the customer whom an event names; None: no signature is asked for.
    """

    name: str
    trusted: bool
    scope: str = "server"
    rate: int = 0
    origins: tuple[str, ...] = ()
    identity: tuple[str, ...] | None = None


async def create_key(database: Database, name: str, scope: Scope, now: datetime, limits: Limits = NO_LIMITS) -> str:
    """Make a key and return it; it is shown this once.

    Raises `Rejected` on a name that is taken (a revoked key's too) or no name, and on limits that can't be meant.
    """
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise Rejected(f"a key's name has 1 to {LONGEST_NAME} printable characters", code="invalid_name")
    _check(limits, scope)
    secret = new_secret(scope)
    values = {
        "hash": digest(secret),
        "name": name,
        "scope": scope,
        "created_at": to_micros(now),
        **_stored(limits),
    }
    async with database.transaction() as connection:
        if (await connection.execute(_CREATE, values)).rowcount != 1:
            raise Rejected(f"there is a key named {name!r} already; choose another name", code="name_taken")
    return secret


async def limit_key(database: Database, name: str, changes: LimitChanges) -> Limits:
    """Change what a key may do and return all its limits; its secret stays. Running processes follow within seconds.

    Raises `Rejected` where there is no good key of that name, and on limits that can't be meant.
    """
    async with database.transaction() as connection:
        row = (await connection.execute(_LIMITS, {"name": name})).one_or_none()
        if row is None:
            raise unknown_key(name)
        limits = changes.of(_limits(row))
        _check(limits, row.scope)
        if (await connection.execute(_LIMIT, {"name": name, **_stored(limits)})).rowcount != 1:
            raise unknown_key(name)
    return limits


async def rotate_key(database: Database, name: str, now: datetime, grace: timedelta) -> str:
    """Give a key a new secret and return it, this once; the old one is good for `grace` longer, older ones at most as long.

    Raises `Rejected` where there is no good key of that name, or somebody else is rotating it now.
    """
    if not timedelta(0) <= grace <= LONGEST_GRACE:
        raise Rejected(f"the time to change over is at most {LONGEST_GRACE.days} days", code="invalid_grace")
    async with database.transaction() as connection:
        row = (await connection.execute(_FIND, {"name": name})).one_or_none()
        if row is None:
            raise unknown_key(name)
        secret = new_secret(row.scope)
        values = {"hash": digest(secret), "old": row.hash, "name": name, "now": to_micros(now), "good_until": to_micros(now + grace)}
        if (await connection.execute(_ROTATE, values)).rowcount != 1:
            raise Rejected(f"the key {name!r} was changed at this moment; look at: povod keys list", code="key_changed")
        await connection.execute(_SHORTEN, values)
        if grace:
            await connection.execute(_KEEP, {**values, "hash": row.hash})
        await connection.execute(_CLEAN, values)
    return secret


async def list_keys(database: Database) -> list[KeyInfo]:
    """Return all keys, revoked ones too, oldest first."""
    async with database.reading() as connection:
        rows = (await connection.execute(_LIST)).all()
        former = {row.name: row.good_until for row in (await connection.execute(_FORMER)).all()}
    return [_info(row, former.get(row.name)) for row in rows]


async def revoke_key(database: Database, name: str, now: datetime) -> bool:
    """Revoke a key with all its secrets; False where there is no good one of that name. Running processes follow within seconds."""
    async with database.transaction() as connection:
        return (await connection.execute(_REVOKE, {"name": name, "revoked_at": to_micros(now)})).rowcount == 1


async def demands_signature(database: Database, name: str) -> bool:
    """Say whether the good key of that name asks for signatures; raises `Rejected` where there is none."""
    async with database.reading() as connection:
        row = (await connection.execute(_FIND, {"name": name})).one_or_none()
    if row is None:
        raise unknown_key(name)
    return bool(row.require_signature)


def unknown_key(name: str) -> Rejected:
    """Return the refusal of a name that no good key has."""
    return Rejected(f"there is no good key named {name!r}; look at: povod keys list", code="unknown_key")


def new_secret(scope: Scope) -> str:
    """Return a new key of a scope."""
    return PREFIXES[scope] + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return what is stored of a key: its SHA-256 in hex. A key is random, so that no slow hash is needed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def origins_of(kept: str) -> tuple[str, ...]:
    """Return the origins of their stored form, blanks between them."""
    return tuple(kept.split())


def _check(limits: Limits, scope: Scope) -> None:
    if not 0 <= limits.rate <= MAX_RATE:
        raise Rejected(f"a key's rate is 1 to {MAX_RATE} events a second, or 0 for the general one", code="invalid_rate")
    if len(limits.origins) > MAX_ORIGINS:
        raise Rejected(f"a key has at most {MAX_ORIGINS} origins", code="invalid_origin")
    _check_origins(limits.origins)
    if limits.require_signature and scope != "browser":
        raise Rejected("only a browser key can ask for signatures: a server's key is a secret itself", code="invalid_scope")


def _check_origins(origins: Sequence[str]) -> None:
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin.lower()):
            raise Rejected(f"{origin!r} is no origin; write it as browsers do, https://shop.example, or *", code="invalid_origin")


def _info(row: Row[Any], former_until: int | None) -> KeyInfo:
    created_at = from_micros(row.created_at)
    return KeyInfo(
        row.name, row.scope, created_at, _at(row.revoked_at), _limits(row), _at(row.rotated_at), _at(former_until), _at(row.last_used_at)
    )


def _limits(row: Row[Any]) -> Limits:
    return Limits(row.rate, origins_of(row.origins), bool(row.require_signature))


def _stored(limits: Limits) -> dict[str, object]:
    origins = " ".join(sorted({origin.lower() for origin in limits.origins}))
    return {"rate": limits.rate, "origins": origins, "require_signature": limits.require_signature}


def _at(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
