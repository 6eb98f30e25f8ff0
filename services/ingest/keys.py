"""Write keys: who may post. Table `api_keys` (owner: ingest) holds their SHA-256 only; each process keeps them all in memory.

A key is 32 random bytes behind a prefix: `sk_` for servers (trusted to name sources and to post historical events), `pk_` for browsers.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import structlog
from sqlalchemy import text

from services.contracts.errors import PovodError, Rejected
from services.contracts.moments import from_micros, to_micros
from services.ingest.refusals import RETRY_AFTER, RequestRefused
from services.runtime.database import Database

Scope = Literal["server", "browser"]
PREFIXES: Mapping[Scope, str] = {"server": "sk_", "browser": "pk_"}
_log = structlog.get_logger()
_CREATE = text(
    "INSERT INTO api_keys (hash, name, scope, created_at) VALUES (:hash, :name, :scope, :created_at) ON CONFLICT (name) DO NOTHING"
)
_REVOKE = text("UPDATE api_keys SET revoked_at = :revoked_at WHERE name = :name AND revoked_at IS NULL")
_LIST = text("SELECT name, scope, created_at, revoked_at FROM api_keys ORDER BY created_at, name")
_LOAD = text("SELECT hash, name, scope FROM api_keys WHERE revoked_at IS NULL")
LONGEST_NAME = 64


class KeyInfo(NamedTuple):
    """What may be shown of a key; times are aware UTC, `revoked_at` None while it is good."""

    name: str
    scope: str
    created_at: datetime
    revoked_at: datetime | None


class WriteKey(NamedTuple):
    """Who posts: the key's name is the source of its events unless a trusted one names another."""

    name: str
    trusted: bool


async def create_key(database: Database, name: str, scope: Scope, now: datetime) -> str:
    """Make a key and return it; it is shown this once. Raises `Rejected` on a name that is taken (a revoked key's too) or no name."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise Rejected(f"a key's name has 1 to {LONGEST_NAME} printable characters", code="invalid_name")
    secret = PREFIXES[scope] + secrets.token_urlsafe(32)
    values = {"hash": digest(secret), "name": name, "scope": scope, "created_at": to_micros(now)}
    async with database.transaction() as connection:
        if (await connection.execute(_CREATE, values)).rowcount != 1:
            raise Rejected(f"there is a key named {name!r} already; choose another name", code="name_taken")
    return secret


async def list_keys(database: Database) -> list[KeyInfo]:
    """Return all keys, revoked ones too, oldest first."""
    async with database.reading() as connection:
        rows = (await connection.execute(_LIST)).all()
    return [KeyInfo(row.name, row.scope, from_micros(row.created_at), row.revoked_at and from_micros(row.revoked_at)) for row in rows]


async def revoke_key(database: Database, name: str, now: datetime) -> bool:
    """Revoke a key; False where there is no good one of that name. Running processes follow within `KeyRing`'s interval."""
    async with database.transaction() as connection:
        return (await connection.execute(_REVOKE, {"name": name, "revoked_at": to_micros(now)})).rowcount == 1


def digest(secret: str) -> str:
    """Return what is stored of a key: its SHA-256 in hex. A key is random, so that no slow hash is needed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


class KeyRing:
    """All good keys in memory, refreshed in the background, so that no request waits for the database.

    A key that is not known asks for a refresh ahead of time (at most one a `soonest`), and is refused meanwhile.
    """

    def __init__(
        self, database: Database, *, interval: timedelta = timedelta(seconds=5), soonest: timedelta = timedelta(seconds=1)
    ) -> None:
        self._database = database
        self._interval = interval.total_seconds()
        self._soonest = soonest.total_seconds()
        self._keys: dict[str, WriteKey] | None = None
        self._wanted = asyncio.Event()

    def find(self, secret: str) -> WriteKey:
        """Return whose key this is; raises `RequestRefused` where it is nobody's, or the keys were never read yet."""
        if self._keys is None:
            raise RequestRefused("keys_unavailable", "the write keys are not loaded yet; try again", retry_after=RETRY_AFTER)
        key = self._keys.get(digest(secret))  # no timing helps a guesser: what is compared is the hash of the guess
        if key is not None:
            return key
        self._wanted.set()
        raise RequestRefused("unauthorized", "this write key is not known; make one with: povod keys create NAME")

    @property
    def is_loaded(self) -> bool:
        """Say whether the keys have been read at least once."""
        return self._keys is not None

    async def refresh(self) -> None:
        """Read the keys now; raises `DatabaseUnavailable`, the ones in memory stay."""
        async with self._database.reading() as connection:
            rows = (await connection.execute(_LOAD)).all()
        self._keys = {row.hash: WriteKey(row.name, row.scope == "server") for row in rows}

    async def run(self, stop: asyncio.Event) -> None:
        """Refresh until `stop` is set; run it as a service beside the server."""
        while not stop.is_set():
            self._wanted.clear()
            try:
                await self.refresh()
            except PovodError as error:
                _log.warning("the write keys could not be read; the known ones stay good", action="keys.kept", error=str(error))
            await self._rest(stop)

    async def _rest(self, stop: asyncio.Event) -> None:
        """Wait at least `soonest`, then until somebody wants a refresh or the interval is over; not at all once stopped."""
        if not await _is_set_within(stop, self._soonest):
            stopped = asyncio.create_task(stop.wait())
            wanted = asyncio.create_task(self._wanted.wait())
            await asyncio.wait({stopped, wanted}, timeout=max(self._interval - self._soonest, 0), return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            wanted.cancel()


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
