"""`python -m tests.kill --kills 100 [--engine kafka|embedded] [--seed N]`: one closing line of figures, exit 1 on a finding."""

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from deploy.local.ports import free_port
from services.commands.draining import Drain
from services.contracts.errors import Retryable
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.eventlog.opening import open_log
from services.runtime.settings import load_settings
from tests.kill import compare, engines
from tests.kill.fleet import Fleet
from tests.kill.load import Load
from tests.kill.rounds import UnsubscribeRace, ZombieRounds, kill_round, progress, wait_until_ready
from tests.kill.sink import RecordingSink

FEWEST_CUSTOMERS = 300
CUSTOMERS_A_KILL = 10
"""So that no customer of a long run comes to more than a thousand events: that many in two days is its own, slower case."""
RACERS = 100
CROWD = 4
"""More clients for the zombies, so that a stopped process has work in its hands."""
REST_SECONDS = 10
"""After the last kill: a zombie must have come to own something."""
DRAIN_SECONDS = 180
LONGEST_WAIT = timedelta(seconds=10)
"""No wait of `rules/` is longer: what falls due so soon after the load is waited for, lest a timer fire while its evidence is gathered."""


def report(line: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


class Attack(NamedTuple):
    """Who is attacked, and by what."""

    fleet: Fleet
    load: Load
    sink: RecordingSink
    zombies: ZombieRounds
    race: UnsubscribeRace

    def findings(self, evidence: compare.Evidence) -> list[str]:
        """Return every promise that was broken."""
        dead = [f"{name} ended by itself" for name in self.fleet.dead()]
        broken = compare.findings(evidence, self.load.acknowledged, self.sink.delivered)
        return [*broken, *self.race.findings(evidence), *self.zombies.findings(), *dead]


async def run_attack(attack: Attack, kills: int, chance: random.Random) -> None:
    """Let the load run while processes die, freeze and customers leave."""
    fleet, load, sink, zombies, race = attack
    await wait_until_ready(load.base_url)
    await load.register_all()
    posting = asyncio.create_task(load.run(pause=0.05))
    for n in range(kills):
        await kill_round(fleet, chance, load.base_url)
        progress(report, "kills", n + 1, kills)
    rounds = kills // 5 if any(name.startswith("rules") for name in fleet.names) else 0
    crowd = [asyncio.create_task(load.run(pause=0.01)) for _ in range(CROWD)] if rounds else []
    await asyncio.sleep(REST_SECONDS if rounds else 0)
    for n in range(rounds):
        await zombies.run(chance)
        progress(report, "zombies", n + 1, rounds)
    crowd.append(asyncio.create_task(load.run(pause=0.01)))
    await asyncio.sleep(REST_SECONDS)  # mails must be on their way to those who leave
    await race.run(load, dict(list(sink.unsubscribe_paths.items())[:RACERS]))
    load.stopping.set()
    await asyncio.gather(posting, *crowd)


async def settle(engine: engines.Engine, database: Database) -> None:
    """Wait until everything is read, decided, published and delivered, and no timer is left that will soon be due."""
    settings = load_settings(environ=engine.environment, file=None)
    clock = SystemClock()
    log = open_log(settings.log, settings.data, clock, read_only=True)
    await log.start()
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            drain = Drain(database, log)
            while not await is_drained(drain, clock.now() + LONGEST_WAIT):  # noqa: ASYNC110 - other processes are waited for
                await asyncio.sleep(0.5)
    finally:
        await log.close()


async def is_drained(drain: Drain, now: datetime) -> bool:
    """Ask; servers that are still busy with what was done to them may not answer at once."""
    try:
        return await drain.is_complete(now)
    except Retryable:
        return False


async def run(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """Run one engine's attack and return the findings."""
    smtp_port = free_port()
    sink = RecordingSink(smtp_port)
    sink.start()
    prepare = engines.kafka_engine if arguments.engine == "kafka" else engines.embedded_engine
    engine = await prepare(folder, smtp_port)
    fleet = Fleet(engine.commands, engine.environment, folder)
    load = Load(engine.base_url, engine.write_key, arguments.seed, max(FEWEST_CUSTOMERS, CUSTOMERS_A_KILL * arguments.kills))
    settings = load_settings(environ=engine.environment, file=None)
    database = Database(settings.database.url.get_secret_value() or f"sqlite:///{settings.data / 'state.db'}")
    zombies = ZombieRounds(fleet, database, engines.SESSION_SECONDS)
    attack = Attack(fleet, load, sink, zombies, UnsubscribeRace())
    try:
        fleet.start_all()
        await run_attack(attack, arguments.kills, random.Random(arguments.seed))
        await settle(engine, database)
        evidence = await compare.gather(database)
        found = attack.findings(evidence)
    finally:
        fleet.stop_all()
        await load.close()
        await database.close()
        sink.stop()
    report(f"kill-test engine={arguments.engine} seed={arguments.seed} {closing_figures(attack, evidence)} findings={len(found)}")
    return found


def closing_figures(attack: Attack, evidence: compare.Evidence) -> str:
    """Return the figures of the closing line."""
    figures = compare.figures(evidence, attack.sink.delivered)
    return (
        f"kills={attack.fleet.kills} zombies={attack.zombies.rounds} in_transaction={attack.zombies.caught}"
        f" commits_refused={attack.zombies.refused} fenced={attack.fleet.count_in_logs('partition.fenced')}"
        f" acknowledged={len(attack.load.acknowledged)} history={figures.events} decisions={figures.decisions}"
        f" messages={figures.messages} twice={figures.twice} unsent={figures.unsent}"
        f" unsubscribed={len(attack.race.acknowledged_at)} raced={attack.race.messages(evidence)}"
    )


def main() -> int:
    """Read the arguments, run, print the findings."""
    parser = argparse.ArgumentParser(prog="python -m tests.kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--engine", choices=("kafka", "embedded"), default="kafka")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="povod-kill-"))
    report(f"kill-test engine={arguments.engine} seed={arguments.seed} logs in {folder}")
    found = asyncio.run(run(arguments, folder))
    for finding in found:
        report(f"FINDING {finding}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
