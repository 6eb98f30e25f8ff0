"""`povod serve` watches its rule files: a change is made active within a second or two, a broken set keeps the former one live."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import structlog

from services.contracts.errors import InvalidRuleset, Retryable
from services.contracts.templates import TemplateCheck
from services.rules.activation import apply
from services.runtime.clock import Clock
from services.runtime.database import Database

INTERVAL = 1.0
"""Seconds (real time) between two looks."""
WATCHER = "povod serve"
_log = structlog.get_logger()

Stamp = tuple[tuple[str, int, int], ...]


class RulesWatcher:
    """Watches one rule set and its templates."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        directory: Path,
        templates: Path,
        check_template: TemplateCheck,
        *,
        interval: float = INTERVAL,
    ) -> None:
        """`check_template` says what of a template can't be compiled; `interval` is in seconds of real time."""
        self._database = database
        self._clock = clock
        self._directory = directory
        self._templates = templates
        self._check_template = check_template
        self._interval = interval
        self._seen: Stamp | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Look again and again until `stop`; mistakes in the files are logged, never raised."""
        while not stop.is_set():
            await self.look()
            try:
                async with asyncio.timeout(self._interval):
                    await stop.wait()
            except TimeoutError:
                continue

    async def look(self) -> bool:
        """Apply the files if they have changed since the last look; say whether a rule set was applied (also an unchanged one)."""
        try:
            stamp = await asyncio.to_thread(stamp_of, self._directory, self._templates)
        except OSError as error:  # a folder deleted while we looked, too many open files: the next look may do better
            _log.warning("the rule files can't be looked at, trying again", action="ruleset.unseen", error=str(error))
            return False
        if stamp == self._seen:
            return False
        try:
            await apply(self._database, self._directory, self._templates, self._clock.now(), WATCHER, self._check_template)
        except InvalidRuleset as error:
            self._tell(error)
            self._seen = stamp
            return False
        except (Retryable, OSError) as error:
            _log.warning("the rule set could not be stored, trying again", action="ruleset.delayed", error=str(error))
            return False
        self._seen = stamp
        return True

    def _tell(self, error: InvalidRuleset) -> None:
        for line in str(error).splitlines():
            _log.error("the rule files are broken: they change nothing until they are mended", action="ruleset.rejected", mistake=line)


def stamp_of(*folders: Path) -> Stamp:
    """Return what changes when any file below these folders does: names, times of change and sizes. Blocks on the disk."""
    return tuple(sorted(entry for folder in folders for entry in _entries(folder)))


def _entries(folder: Path) -> Iterator[tuple[str, int, int]]:
    for file in folder.rglob("*"):
        try:
            status = file.stat()
        except OSError:  # it was deleted while we looked: the next look sees that
            continue
        if file.is_file():
            yield str(file), status.st_mtime_ns, status.st_size
