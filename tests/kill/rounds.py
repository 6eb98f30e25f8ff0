"""The attacks: kills at random moments, zombies, unsubscribes in a race with the senders."""

import asyncio
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from services.contracts.moments import to_micros
from tests.kill.compare import Evidence
from tests.kill.fleet import Fleet
from tests.kill.load import Load

Report = Callable[[str], None]
_GONE_OUT = {"sending", "sent", "ambiguous", "unknown"}


async def kill_round(fleet: Fleet, chance: random.Random) -> None:
    """Wait a random moment, kill a random process, start it again after another."""
    await asyncio.sleep(chance.uniform(0.1, 1.2))
    victim = chance.choice(fleet.names)
    fleet.kill(victim)
    await asyncio.sleep(chance.uniform(0.0, 0.5))
    fleet.start(victim)


async def zombie_round(fleet: Fleet, chance: random.Random, session_seconds: float) -> None:
    """Stop a rules process for longer than its session, so that another takes its partitions, then let it go on."""
    victim = chance.choice([name for name in fleet.names if name.startswith("rules")])
    fleet.freeze(victim)
    await asyncio.sleep(session_seconds + chance.uniform(0.5, 2.0))
    fleet.thaw(victim)
    await asyncio.sleep(chance.uniform(1.0, 2.0))


class UnsubscribeRace:
    """Customers who unsubscribe by the link of a mail they got while more is on its way to them."""

    def __init__(self) -> None:
        self.acknowledged_at: dict[str, int] = {}

    async def run(self, load: Load, paths: dict[str, str]) -> None:
        """Unsubscribe everybody, eight at a time; `paths` by e-mail address."""
        gate = asyncio.Semaphore(8)

        async def one(address: str, path: str) -> None:
            async with gate:
                if await load.unsubscribe(path):
                    self.acknowledged_at[address.partition("@")[0]] = to_micros(datetime.now(UTC))

        await asyncio.gather(*(one(address, path) for address, path in paths.items()))

    def findings(self, evidence: Evidence) -> Iterator[str]:
        """Yield every message that was claimed after its customer's unsubscribe had been acknowledged, and went out all the same."""
        for row in evidence.deliveries.values():
            acknowledged_at = self.acknowledged_at.get(row.customer)
            if acknowledged_at is not None and row.state in _GONE_OUT and (row.claimed_at or 0) > acknowledged_at:
                yield f"message {row.message_id} was claimed {row.claimed_at - acknowledged_at} µs after the unsubscribe's acknowledgement"


def progress(report: Report, phase: str, done: int, total: int) -> None:
    """Report every tenth of a phase."""
    if done == total or done % max(1, total // 10) == 0:
        report(f"{phase}: {done}/{total}")
