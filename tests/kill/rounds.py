"""The attacks: kills at random moments, zombies, unsubscribes in a race with the senders."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlalchemy import text

from services.contracts.moments import to_micros
from services.runtime.database import Database
from tests.kill.compare import Evidence
from tests.kill.fleet import Fleet
from tests.kill.load import Load

Report = Callable[[str], None]
_IDLE_IN_TRANSACTION = text(
    "SELECT DISTINCT activity.pid, activity.xact_start"
    " FROM pg_stat_activity AS activity JOIN pg_locks AS held ON held.pid = activity.pid"
    " WHERE activity.application_name = :name AND activity.state = 'idle in transaction'"
    " AND held.relation = 'cursors'::regclass AND held.mode = 'RowExclusiveLock'"
)
_ABANDONED_SECONDS = 10.0
"""After so long PostgreSQL ends the transaction of a process that says nothing (`idle_in_transaction_session_timeout`).

Before that the stopped owner holds the partition's row, and could still commit: nobody has taken it from him.
"""
_GONE_OUT = {"sending", "sent", "ambiguous", "unknown"}


async def kill_round(fleet: Fleet, chance: random.Random, base_url: str) -> None:
    """Wait a random moment, kill a random process, start it again after another.

    Every second time the moment begins when the door is open: else a fleet that is always starting would have nothing to lose.
    """
    if chance.random() < 0.5:
        await wait_until_ready(base_url)
    await asyncio.sleep(chance.uniform(0.1, 1.2))
    victim = chance.choice(fleet.names)
    fleet.kill(victim)
    await asyncio.sleep(chance.uniform(0.0, 0.5))
    fleet.start(victim)


async def wait_until_ready(base_url: str) -> None:
    """Wait for `/readyz`."""
    async with asyncio.timeout(60), httpx.AsyncClient(base_url=base_url) as http:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await http.get("/readyz")).status_code == httpx.codes.OK:
                    return
            await asyncio.sleep(0.1)


class ZombieRounds:
    """Rules processes stopped in the middle of a transaction, for longer than their session, then let go on.

    Meanwhile another process takes their partitions; when they wake, their commit must fail.
    """

    TRIES = 60
    NOTICES_WITHIN = 15.0
    """Seconds, after a zombie is woken, in which its log must say that it was told."""

    def __init__(self, fleet: Fleet, database: Database, session_seconds: float) -> None:
        self._fleet = fleet
        self._database = database
        self._session_seconds = session_seconds
        self.rounds = 0
        self.caught = 0
        """Rounds in which the zombie held an open transaction."""
        self.refused = 0
        """Those of them in which its commit then failed; in the others it let go before it came to that."""
        self._unaware = 0

    async def run(self, chance: random.Random) -> None:
        """Run one round."""
        victim = chance.choice([name for name in self._fleet.names if name.startswith("rules")])
        self.rounds += 1
        is_caught = await self._freeze_in_transaction(victim, chance)
        failed, released = self._failed_commits(victim), self._released(victim)
        longest = max(self._session_seconds, _ABANDONED_SECONDS) if is_caught else self._session_seconds
        await asyncio.sleep(longest + chance.uniform(0.5, 2.0))
        self._fleet.thaw(victim)
        await asyncio.sleep(chance.uniform(2.0, 3.0))
        if is_caught:
            await self._until_it_notices(victim, failed, released)
        self.caught += is_caught
        is_refused = self._failed_commits(victim) > failed
        self.refused += is_caught and is_refused
        self._unaware += is_caught and not is_refused and self._released(victim) == released

    def findings(self) -> Iterator[str]:
        """Yield what is wrong: a zombie's commit came through, or too few zombies were caught to tell."""
        if self._unaware:
            yield f"{self._unaware} of {self.caught} zombies that held a transaction did not find out that it was taken from them"
        if self.caught * 2 < self.rounds:
            yield f"only {self.caught} of {self.rounds} zombies were caught in a transaction: the rounds prove too little"

    def _failed_commits(self, victim: str) -> int:
        return self._fleet.count_in_logs("batch.rolled_back", victim)

    def _released(self, victim: str) -> int:
        """Count what it let go of, or, stopped while it took partitions over, did not get."""
        return self._fleet.count_in_logs("partition.released", victim) + self._fleet.count_in_logs("partition.not_taken", victim)

    async def _until_it_notices(self, victim: str, failed: int, released: int) -> None:
        """Wait for a sign of the zombie's that it was told; what it had begun to decide may take a busy machine a while."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.NOTICES_WITHIN):
                while self._failed_commits(victim) == failed and self._released(victim) == released:  # noqa: ASYNC110 - another process's log
                    await asyncio.sleep(0.2)

    async def _freeze_in_transaction(self, victim: str, chance: random.Random) -> bool:
        """Stop the process at random until it is stopped with a transaction open; False where that did not happen."""
        for _ in range(self.TRIES):
            self._fleet.freeze(victim)
            if await self._has_open_transaction(victim):
                return True
            self._fleet.thaw(victim)
            await asyncio.sleep(chance.uniform(0.05, 0.25))
        self._fleet.freeze(victim)
        return False

    async def _has_open_transaction(self, victim: str) -> bool:
        """Say whether the stopped process left a cursor's transaction open: one that stays idle while it is looked at."""
        await asyncio.sleep(0.03)  # a statement under way comes to its end all the same
        before = await self._idle_sessions(victim)
        if not before:
            return False
        await asyncio.sleep(0.2)
        return bool(before & await self._idle_sessions(victim))

    async def _idle_sessions(self, victim: str) -> set[tuple[int, object]]:
        async with self._database.reading() as connection:
            return {(row.pid, row.xact_start) for row in await connection.execute(_IDLE_IN_TRANSACTION, {"name": f"povod {victim}"})}


class UnsubscribeRace:
    """Customers who unsubscribe by the link of a mail they got while more is on its way to them."""

    PAUSE = 0.25
    """Seconds between one's leaving and the next one's, for each of the eight: all at once would be over before a mail is claimed."""

    def __init__(self) -> None:
        self.acknowledged_at: dict[str, int] = {}
        self._began_at = 0

    async def run(self, load: Load, paths: dict[str, str]) -> None:
        """Unsubscribe everybody, eight at a time; `paths` by e-mail address."""
        gate = asyncio.Semaphore(8)
        self._began_at = to_micros(datetime.now(UTC))

        async def one(address: str, path: str) -> None:
            async with gate:
                if await load.unsubscribe(path):
                    self.acknowledged_at[address.partition("@")[0]] = to_micros(datetime.now(UTC))
                await asyncio.sleep(self.PAUSE)

        await asyncio.gather(*(one(address, path) for address, path in paths.items()))

    def findings(self, evidence: Evidence) -> Iterator[str]:
        """Yield every message that was claimed after its customer's unsubscribe had been acknowledged, and went out all the same."""
        for row in self._raced(evidence):
            late = row.claimed_at - self.acknowledged_at[row.customer]
            if late > 0 and row.state in _GONE_OUT:
                yield f"message {row.message_id} was claimed {late} µs after the unsubscribe's acknowledgement"
        if self.acknowledged_at and not self.messages(evidence):
            yield "no message was claimed while customers unsubscribed: there was no race"

    def messages(self, evidence: Evidence) -> int:
        """Return how many messages to these customers were claimed since they began to unsubscribe."""
        return sum(row.claimed_at > self._began_at for row in self._raced(evidence))

    def _raced(self, evidence: Evidence) -> list[Any]:
        return [row for row in evidence.deliveries.values() if row.customer in self.acknowledged_at and row.claimed_at is not None]


def progress(report: Report, phase: str, done: int, total: int) -> None:
    """Report every tenth of a phase."""
    if done == total or done % max(1, total // 10) == 0:
        report(f"{phase}: {done}/{total}")
