"""`povod status`: what it finds, what it shows, and that it never stumbles over what is missing."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from services.cli import povod
from services.commands.invocation import Invocation
from services.commands.status import screen
from services.commands.status_report import ActiveRuleset, DeadLetters, Lag, Reach, Timers, gather
from services.contracts.moments import to_micros
from services.contracts.topics import DISPATCH, EVENTS, REJECTED
from services.runtime.clock import FrozenClock
from services.runtime.database import Database
from services.runtime.eventlog.embedded_watch import WatchedEventLog
from services.runtime.eventlog.port import EventLog, OutgoingRecord
from services.runtime.migrate import upgrade
from tests.fixtures_log import EmbeddedLogs

CUSTOMER = "INSERT INTO customers (bucket, customer, document, next_due_at, updated_at) VALUES (1, :name, '{}', :at, 0)"
ACTIVE = "INSERT INTO active_ruleset (activation, hash, activated_at, activated_by) VALUES (:n, :hash, :at, 'me')"
ROWS = (
    (
        "INSERT INTO cursors (topic, partition, epoch, owner, next_offset, outbox_seq, frontier_at)"
        " VALUES ('povod.events', 0, 1, 'one', 2, 0, 0)"
    ),
    "INSERT INTO event_outbox (id, customer, value, created_at) VALUES ('e', 'ann', '{}', 0)",
    (
        "INSERT INTO dead_letters (topic, partition, record_offset, reason, error, value, dead_at)"
        " VALUES ('t', 0, 1, 'undecodable', '', '', 0)"
    ),
    "INSERT INTO holds (scope, name, held_at, held_by) VALUES ('channel', 'sms', 0, 'me')",
)


@pytest.fixture
async def watched(embedded_logs: EmbeddedLogs, frozen_clock: FrozenClock) -> AsyncIterator[EventLog]:
    """Return a look into the log while its owner has it open."""
    log = WatchedEventLog(embedded_logs.path, frozen_clock)
    yield log
    await log.close()


@pytest.fixture
async def worked(database: Database, embedded_log: EventLog, frozen_clock: FrozenClock) -> Database:
    """Return a database and fill the log as if Povod had worked for a while."""
    await embedded_log.ensure_topics({EVENTS: 1, DISPATCH: 1, REJECTED: 2})
    await embedded_log.append(REJECTED, [OutgoingRecord(key, b"?") for key in (b"ann", b"bob", b"eve")])
    await embedded_log.append(EVENTS, [OutgoingRecord(b"ann", b"{}") for _ in range(5)])
    async with database.transaction() as connection:
        for row in ROWS:
            await connection.execute(text(row))
        now = to_micros(frozen_clock.now())
        await connection.execute(text(CUSTOMER), [{"name": "ann", "at": now - 60_000_000}, {"name": "bob", "at": now + 1}])
        await connection.execute(text(ACTIVE), [{"n": 1, "hash": "old", "at": 0}, {"n": 2, "hash": "abcdef0123456789", "at": now}])
    return database


async def test_gathers_everything_in_one_look(worked: Database, watched: EventLog, frozen_clock: FrozenClock) -> None:
    """Lag per partition, what waits, timers behind, dead letters, holds and the active rule set."""
    report = await gather(watched, "embedded", worked, frozen_clock.now())
    state = report.state
    assert state is not None
    assert (report.log, report.database, report.is_well) == (Reach("embedded", True), Reach(worked.dialect, True), True)
    assert report.partitions == [Lag(EVENTS, 0, "one", 2, 5, 3), Lag(DISPATCH, 0, None, 0, 0, 0)]
    assert report.rejected == 3
    assert state.waiting == {"outbox": 0, "event_outbox": 1, "dead_letters": 1}
    assert state.timers == Timers(1, frozen_clock.now() - timedelta(minutes=1))
    assert (state.dead_letters, state.holds) == ([DeadLetters("t", "undecodable", 1)], ["channel sms"])
    assert state.ruleset == ActiveRuleset("abcdef0123456789", frozen_clock.now())


async def test_shows_it_on_one_screen(worked: Database, watched: EventLog, frozen_clock: FrozenClock) -> None:
    """The screen says the same in words."""
    shown = "\n".join(screen(await gather(watched, "embedded", worked, frozen_clock.now())))
    for words in (
        "Log       embedded, answers",
        "Rule set  abcdef012345 since 2026-03-02 09:00 UTC",
        "Waiting   outbox 0, event_outbox 1, dead_letters 1",
        "Timers    1 due, the first since 2026-03-02 08:59 UTC",
        "Held      channel sms",
        "Dead      t undecodable 1",
        "Rejected  3 events, shown by povod tail rejected",
    ):
        assert words in shown


async def test_what_does_not_answer_is_said(tmp_path: Path, frozen_clock: FrozenClock) -> None:
    """A log that is not there and a database without tables are two sentences, no failure."""
    database = Database(f"sqlite:///{tmp_path}/empty.db")
    log = WatchedEventLog(tmp_path / "log.db", frozen_clock)
    report = await gather(log, "embedded", database, frozen_clock.now())
    await log.close()
    await database.close()
    assert not report.is_well
    assert not report.partitions
    assert "DOES NOT ANSWER" in "\n".join(screen(report))
    assert "povod db upgrade" in (report.database.error or "")


def test_the_command_prints_json_and_tells_by_its_exit(tmp_path: Path) -> None:
    """Before the first start: exit 1, and JSON all the same; `db upgrade` makes the database answer."""
    runner = CliRunner()
    result = runner.invoke(povod, ["status", "--json", "--data", str(tmp_path)], obj=Invocation({}))
    assert (result.exit_code, json.loads(result.output)["database"]["reachable"]) == (1, False)
    upgraded = runner.invoke(povod, ["db", "upgrade", "--json", "--data", str(tmp_path)], obj=Invocation({}))
    assert json.loads(upgraded.output) == {"database": "sqlite", "upgraded": True}
    result = runner.invoke(povod, ["status", "--json", "--data", str(tmp_path)], obj=Invocation({}))
    found = json.loads(result.output)
    assert (found["database"]["reachable"], found["log"]["reachable"], found["state"]["ruleset"]) == (True, False, None)


async def test_upgrading_twice_is_harmless(tmp_path: Path) -> None:
    """Migrations that were run are not run again, and the answer tells which case it was."""
    database = Database(f"sqlite:///{tmp_path}/state.db")
    assert await upgrade(database) is not None
    assert await upgrade(database) is None
    await database.close()
