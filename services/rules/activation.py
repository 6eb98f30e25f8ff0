"""Which rule set is live: making one active for all workers at once, and each worker's compiled copy of it.

Rule sets and templates are stored by their hash and never changed; `active_ruleset` is a list that is only appended to, its newest row
is what counts. Workers read it inside every transaction, so a batch is decided wholly by one rule set.
"""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.errors import InvalidRuleset, Retryable
from services.contracts.ids import ContentHash
from services.contracts.moments import from_micros, to_micros
from services.contracts.templates import TemplateCheck
from services.rules import store
from services.rules.core.ruleset import Journey, Ruleset
from services.rules.loader import LoadedRuleset, load_directory, load_stored, read_earlier
from services.runtime import bundles
from services.runtime.database import Database
from services.runtime.telemetry.metrics import RULESET_RELOADS, Metrics

REMEMBERED = 50
"""Former rule sets whose journeys are kept at hand, for enrolments that began with them."""
_ACTIVATE = text(
    "INSERT INTO active_ruleset (activation, hash, activated_at, activated_by)"
    " SELECT COALESCE(MAX(activation), 0) + 1, :hash, :at, :by FROM active_ruleset"
)
_HISTORY = text("SELECT activation, hash, activated_at, activated_by FROM active_ruleset ORDER BY activation DESC LIMIT :limit")
_log = structlog.get_logger()


class NoActiveRuleset(Retryable):
    """Nobody has made a rule set active yet: `povod rules apply` does."""


class Activation(NamedTuple):
    """One row of who made what live, and when (aware UTC)."""

    number: int
    hash: ContentHash
    at: datetime
    by: str


async def apply(database: Database, directory: Path, templates: Path, now: datetime, by: str, check_template: TemplateCheck) -> ContentHash:
    """Load, store and make active the rule set below `directory`; return its hash. Harmless where it is active already.

    `check_template` says what of a template can't be compiled. Raises `InvalidRuleset` with every mistake; then nothing was changed.
    """
    loaded = await asyncio.to_thread(load_directory, directory, templates, check_template=check_template)
    return await activate(database, loaded, now, by)


async def activate(database: Database, loaded: LoadedRuleset, now: datetime, by: str) -> ContentHash:
    """Store a loaded rule set with its templates and make it active, in one transaction."""
    at = to_micros(now)
    async with database.transaction() as connection:
        for name, files in loaded.templates.items():
            await bundles.save(connection, "template", name, files, at)
        saved = await bundles.save(connection, "ruleset", "rules", loaded.files, at)
        if await store.active_hashes(connection, 1) != [saved]:
            await connection.execute(_ACTIVATE, {"hash": saved, "at": at, "by": by})
            _log.info("a rule set is live", action="ruleset.activated", ruleset=saved, by=by)
    return saved


async def history(database: Database, limit: int = 100) -> list[Activation]:
    """Return who made which rule set active, the newest first."""
    async with database.reading() as connection:
        rows = await connection.execute(_HISTORY, {"limit": limit})
        return [Activation(row.activation, ContentHash(row.hash), from_micros(row.activated_at), row.activated_by) for row in rows]


class ActiveRulesets:
    """The live rule set, compiled once a hash. One a process; safe to share between the tasks of one event loop."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._newest: ContentHash | None = None
        self._live: Ruleset | None = None

    @property
    def live(self) -> Ruleset | None:
        """Return the rule set last used, None before the first."""
        return self._live

    async def current(self, connection: AsyncConnection) -> Ruleset:
        """Return the active rule set, read in the caller's transaction. Raises `NoActiveRuleset`.

        One that can't be compiled (a later release stored it) leaves the one before it live, and says so in the log.
        """
        newest = next(iter(await store.active_hashes(connection, 1)), None)
        if newest is None:
            raise NoActiveRuleset("no rule set is active yet: run `povod rules apply`")
        if newest != self._newest or self._live is None:
            self._live = await self._take_up(connection)
            self._newest = newest
        return self._live

    async def _take_up(self, connection: AsyncConnection) -> Ruleset:
        """Compile the newest rule set that can be, with the journeys of those before it."""
        hashes = list(dict.fromkeys(await store.active_hashes(connection, REMEMBERED)))
        stored = {each: files for each in hashes if (files := await bundles.load(connection, each)) is not None}
        for number, each in enumerate(hashes):
            if each not in stored:
                continue
            try:
                ruleset = load_stored(stored[each], earlier=_journeys_of([stored[old] for old in hashes[number + 1 :] if old in stored]))
            except InvalidRuleset as error:
                self._metrics.add(RULESET_RELOADS, result="rejected")
                _log.error(
                    "a stored rule set can't be used, the one before it stays live",
                    action="ruleset.rejected",
                    ruleset=each,
                    error=str(error),
                )
                continue
            self._metrics.add(RULESET_RELOADS, result="taken")
            _log.info("taken up", action="ruleset.taken", ruleset=each, journeys=len(ruleset.journeys))
            return ruleset
        raise NoActiveRuleset("no stored rule set can be used: see the log for its mistakes")


def _journeys_of(rulesets: list[dict[str, str]]) -> list[Journey]:
    """Return the journeys of former rule sets, each distinct file read once."""
    seen: set[tuple[str, str]] = set()
    journeys: list[Journey] = []
    for files in rulesets:
        fresh = {name: content for name, content in files.items() if (name, content) not in seen}
        seen.update(fresh.items())
        journeys += read_earlier(fresh)
    return journeys
