"""Run the kill test: `python -m tests.kill --kills 100 [--engine kafka|embedded] [--seed N]`; one closing line of figures, exit 1 on a finding."""

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
import time
from pathlib import Path

import httpx

from services.commands.draining import Drain
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.eventlog.opening import open_log
from services.runtime.settings import load_settings
from tests.kill import compare, engines
from tests.kill.fleet import Fleet
from tests.kill.load import Load
from tests.kill.rounds import UnsubscribeRace, kill_round, progress, zombie_round
from tests.kill.sink import RecordingSink

CUSTOMERS = 300
DRAIN_SECONDS = 180


def report(line: str) -> None:
    """Print at once."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


async def attack(fleet: Fleet, load: Load, sink: RecordingSink, kills: int, chance: random.Random) -> UnsubscribeRace:
    """Let the load run while processes die, freeze and customers leave."""
    await wait_until_ready(load.base_url)
    await load.register_all()
    posting = asyncio.create_task(load.run(pause=0.05))
    race = UnsubscribeRace()
    for n in range(kills):
        await kill_round(fleet, chance)
        progress(report, "kills", n + 1, kills)
    rounds = kills // 5 if any(name.startswith("rules") for name in fleet.names) else 0
    for n in range(rounds):
        await zombie_round(fleet, chance, engines.SESSION_SECONDS)
        progress(report, "zombies", n + 1, rounds)
    await race.run(load, dict(list(sink.unsubscribe_paths.items())[: CUSTOMERS // 3]))
    report(f"unsubscribed: {len(race.acknowledged_at)}")
    load.stopping.set()
    await posting
    return race


async def wait_until_ready(base_url: str) -> None:
    """Wait for `/readyz`."""
    async with httpx.AsyncClient(base_url=base_url) as http:
        async with asyncio.timeout(60):
            while True:
                try:
                    if (await http.get("/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)


async def settle(engine: engines.Engine, database: Database) -> None:
    """Wait until everything is read, decided, published and delivered."""
    settings = load_settings(environ=engine.environment, file=None)
    clock = SystemClock()
    log = open_log(settings.log, settings.data, clock, read_only=True)
    await log.start()
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            await asyncio.sleep(3.0)
            await Drain(database, log).wait(clock.now(), poll_seconds=0.2)
    finally:
        await log.close()


async def run(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """Run one engine's attack and return the findings."""
    sink = RecordingSink()
    sink.start()
    prepare = engines.kafka_engine if arguments.engine == "kafka" else engines.embedded_engine
    engine = await prepare(folder, sink.port)
    fleet = Fleet(engine.commands, engine.environment, folder)
    load = Load(engine.base_url, engine.write_key, arguments.seed, CUSTOMERS)
    settings = load_settings(environ=engine.environment, file=None)
    database = Database(settings.database.url.get_secret_value() or f"sqlite:///{settings.data / 'state.db'}")
    try:
        fleet.start_all()
        race = await attack(fleet, load, sink, arguments.kills, random.Random(arguments.seed))
        await settle(engine, database)
        dead = fleet.dead()
        evidence = await compare.gather(database)
    finally:
        fleet.stop_all()
        await load.close()
        await database.close()
        sink.stop()
    found = [*compare.findings(evidence, load.acknowledged, sink.delivered), *race.findings(evidence)]
    found += [f"{name} ended by itself" for name in dead]
    figures = compare.figures(evidence, sink.delivered)
    report(
        f"kill-test engine={arguments.engine} seed={arguments.seed} kills={fleet.kills} fenced={fleet.count_in_logs('partition.fenced')}"
        f" acknowledged={len(load.acknowledged)} history={figures.events} decisions={figures.decisions} messages={figures.messages}"
        f" twice={figures.twice} unsent={figures.unsent} unsubscribed={len(race.acknowledged_at)} findings={len(found)}"
        f" {'FAILED' if found else 'ok'}"
    )
    return found


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
