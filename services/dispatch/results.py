"""What senders answered, gathered for a moment and while the last transaction was being written, and written together."""

import asyncio

import structlog

from services.contracts.errors import Rejected, Retryable
from services.dispatch.journal import Journal, Judged

_GATHER_SECONDS = 0.05
"""A transaction costs as much for fifty results as for one; nobody waits for a result but the rules."""
_BACK_OFF_SECONDS = 0.2
_GIVE_UP_AFTER = 50
"""Tries after a stop was asked for; what could not be written is found by its lease and is then ambiguous."""
_log = structlog.get_logger()


class Results:
    """The recorder of one channel. Batches form by themselves: the slower the database, the larger they are."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._gathered: list[tuple[str, Judged]] = []
        self._ready = asyncio.Event()
        self._is_closed = False

    def add(self, token: str, judged: Judged) -> None:
        """Keep one result to be written."""
        self._gathered.append((token, judged))
        self._ready.set()

    def close(self) -> None:
        """Let `run` end when everything has been written."""
        self._is_closed = True
        self._ready.set()

    async def run(self) -> None:
        """Write until closed."""
        while not self._is_closed or self._gathered:
            await self._ready.wait()
            self._ready.clear()
            if not self._is_closed:
                await asyncio.sleep(_GATHER_SECONDS)
            batch, self._gathered = self._gathered, []
            if batch:
                await self._write(batch)

    async def _write(self, batch: list[tuple[str, Judged]]) -> None:
        tries = 0
        while tries < _GIVE_UP_AFTER:
            try:
                await self._journal.settle(batch)
            except Retryable as error:
                tries += self._is_closed
                _log.warning("trying again", action="dispatch.results_waiting", results=len(batch), error=str(error))
                await asyncio.sleep(_BACK_OFF_SECONDS)
            except Rejected as error:
                _log.error("left to their leases", action="dispatch.results_refused", results=len(batch), error=str(error))
                return
            else:
                return
