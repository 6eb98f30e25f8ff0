"""All good write keys in memory, so that no request waits for the database."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import structlog
from sqlalchemy import Row, text

from services.contracts.errors import PovodError
from services.contracts.moments import from_micros, to_micros
from services.ingest.identity import identity_secret
from services.ingest.keys import WriteKey, digest, origins_of
from services.ingest.refusals import RETRY_AFTER, RequestRefused
from services.runtime.clock import Clock
from services.runtime.database import Database

_log = structlog.get_logger()
_LOAD = text("SELECT hash, name, scope, rate, origins, require_signature FROM api_keys WHERE revoked_at IS NULL")
_LOAD_FORMER = text("SELECT hash, name, good_until FROM api_key_former")
_NOTE_USE = text("UPDATE api_keys SET last_used_at = :at WHERE name = :name AND (last_used_at IS NULL OR last_used_at < :at)")
NOTE_USES_EVERY = timedelta(minutes=1)
"""How often it is written down when keys were last used, at most."""
MAX_REMEMBERED = 1_024


class _Former(NamedTuple):
    key: WriteKey
    good_until: datetime


class KeyRing:
    """All good keys in memory, refreshed in the background.

    A key that is not known asks for a refresh ahead of time (at most one a `soonest`), and is refused meanwhile. `link_secrets`, the
    signing one first, make the identity secrets of keys that ask for signatures.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        link_secrets: Sequence[str] = (),
        interval: timedelta = timedelta(seconds=5),
        soonest: timedelta = timedelta(seconds=1),
    ) -> None:
        self._database = database
        self._clock = clock
        self._link_secrets = tuple(link_secrets)
        self._interval = interval.total_seconds()
        self._soonest = soonest.total_seconds()
        self._keys: dict[str, WriteKey] | None = None
        self._former: dict[str, _Former] = {}
        self._origins: frozenset[str] | None = None
        self._remembered: dict[str, WriteKey] = {}
        self._used: set[str] = set()
        self._last_used: dict[str, datetime] = {}
        self._noted_at: datetime | None = None
        self._wanted = asyncio.Event()
        self._has_looked = asyncio.Event()

    def find(self, secret: str) -> WriteKey:
        """Return whose key this is.

        Raises `RequestRefused` where it is nobody's, is an administrator's, or the keys were never read yet.
        """
        # Only good keys are remembered, and comparing by hash table tells a guesser nothing that he could put together.
        if (key := self._remembered.get(secret)) is not None:
            self._used.add(key.name)
            return key
        key = self._look_up(secret)
        if key.scope == "admin":
            raise RequestRefused("wrong_scope", "an admin key can't post; make a write key with: povod keys create NAME")
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[secret] = key
        return key

    def find_admin(self, secret: str) -> WriteKey:
        """Return the administrator's key; raises `RequestRefused` where it is none, or the keys were never read yet."""
        key = self._look_up(secret)
        if key.scope != "admin":
            raise RequestRefused("wrong_scope", "this needs an admin key; make one with: povod keys create NAME --scope admin")
        return key

    def allows_origin(self, origin: str) -> bool:
        """Say whether any key may be used by pages of this origin: all that can be known of a preflight, which has no key.

        True while the keys were never read: the request itself is answered 503 then, and the browser's SDK should see that.
        """
        return self._origins is None or "*" in self._origins or origin.lower() in self._origins

    @property
    def names(self) -> Sequence[str]:
        """The names of the keys that may post, in order."""
        return sorted({key.name for key in (self._keys or {}).values() if key.scope != "admin"})

    @property
    def is_loaded(self) -> bool:
        """Say whether the keys have been read at least once."""
        return self._keys is not None

    async def first_look(self, patience: timedelta) -> None:
        """Return when the running ring has read the keys, or failed to, once; after `patience` (real time) in any case."""
        await _is_set_within(self._has_looked, patience.total_seconds())

    async def refresh(self) -> None:
        """Read the keys now; raises `DatabaseUnavailable`, the ones in memory stay."""
        async with self._database.reading() as connection:
            rows = (await connection.execute(_LOAD)).all()
            former = (await connection.execute(_LOAD_FORMER)).all()
        keys = {row.hash: self._key(row) for row in rows}
        by_name = {key.name: key for key in keys.values()}
        self._keys = keys
        self._former = {row.hash: _Former(by_name[row.name], from_micros(row.good_until)) for row in former if row.name in by_name}
        self._origins = frozenset(origin for key in keys.values() if key.scope != "admin" for origin in key.origins or ("*",))
        self._forget_expired()

    async def note_uses(self) -> None:
        """Write down which keys were used since the last time; raises `DatabaseUnavailable`, nothing is forgotten then."""
        used, self._last_used = self._last_used, {}
        self._noted_at = self._clock.now()
        if not used:
            return
        try:
            async with self._database.transaction() as connection:
                await connection.execute(_NOTE_USE, [{"name": name, "at": to_micros(at)} for name, at in sorted(used.items())])
        except PovodError:
            self._last_used = used | self._last_used
            raise

    async def run(self, stop: asyncio.Event) -> None:
        """Refresh until `stop` is set; run it as a service beside the server."""
        while not stop.is_set():
            self._wanted.clear()
            await self._turn()
            self._has_looked.set()
            await self._note_uses(at_once=False)
            await self._rest(stop)
        await self._note_uses(at_once=True)

    async def _turn(self) -> None:
        """Read the keys; if that fails it is tried again the next time, and the known ones stay good."""
        try:
            await self.refresh()
        except PovodError as error:
            self._forget_expired()
            _log.warning("the write keys could not be read; the known ones stay good", action="keys.kept", error=str(error))

    async def _note_uses(self, *, at_once: bool) -> None:
        """Note uses if it is time to; what could not be written is the next time."""
        now, used = self._clock.now(), self._used
        self._used = set()
        self._last_used |= dict.fromkeys(used, now)
        if not at_once and self._noted_at is not None and now - self._noted_at < NOTE_USES_EVERY:
            return
        try:
            await self.note_uses()
        except PovodError as error:
            _log.warning("the last use of keys could not be written; tried again", action="keys.uses_kept", error=str(error))

    def _forget_expired(self) -> None:
        """Let go of former secrets whose time is over, and of what was remembered: it may hold one of them."""
        now = self._clock.now()
        self._former = {hashed: former for hashed, former in self._former.items() if former.good_until > now}
        self._remembered = {}

    def _look_up(self, secret: str) -> WriteKey:
        if self._keys is None:
            self._wanted.set()
            raise RequestRefused("keys_unavailable", "the write keys are not loaded yet; try again", retry_after=RETRY_AFTER)
        hashed = digest(secret)  # no timing helps a guesser: what is compared is the hash of the guess
        former = self._former.get(hashed)
        key = self._keys.get(hashed) or (former.key if former is not None and former.good_until > self._clock.now() else None)
        if key is None:
            self._wanted.set()
            raise RequestRefused("unauthorized", "this write key is not known; make one with: povod keys create NAME")
        self._used.add(key.name)
        return key

    def _key(self, row: Row[Any]) -> WriteKey:
        identity = tuple(identity_secret(secret, row.name) for secret in self._link_secrets) if row.require_signature else None
        return WriteKey(row.name, row.scope == "server", row.scope, row.rate, origins_of(row.origins), identity)

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
