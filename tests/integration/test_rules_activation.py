"""Making rule sets live: for all workers at once, with the former one kept where the new one is broken."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from services.contracts.errors import InvalidRuleset
from services.contracts.ids import ContentHash
from services.dispatch.rendering import check_template
from services.rules import activation
from services.rules.activation import ActiveRulesets
from services.rules.loader import load_directory
from services.rules.watching import RulesWatcher
from services.runtime import bundles
from services.runtime.database import Database
from services.runtime.telemetry.metrics import process_metrics
from tests.builders import HOUR, NOON, make_event
from tests.rules_desk import JOURNEYS, Desk, lay_out, metric, opened_desk

LATER = NOON + 12 * HOUR


@pytest.fixture
async def desk(tmp_path: Path, database: Database) -> AsyncIterator[Desk]:
    """Return a desk on each database."""
    async with opened_desk(tmp_path, database, LATER) as found:
        yield found


async def active(database: Database) -> list[str]:
    """Return the hashes made active, in order."""
    return [row.hash for row in reversed(await activation.history(database))]


async def activate_raw(desk: Desk, files: dict[str, str]) -> ContentHash:
    """Make something active past every check, as a later release might."""
    async with desk.database.transaction() as connection:
        saved = await bundles.save(connection, "ruleset", "rules", files, 1)
        await connection.execute(text("INSERT INTO active_ruleset VALUES (99, :hash, 1, 'later')"), {"hash": saved})
    return saved


async def test_applying_stores_rules_and_templates_by_hash(desk: Desk) -> None:
    """What was applied can be loaded again by its hash, each template under the hash that the rule set names."""
    loaded = load_directory(*lay_out(desk.folder))
    assert await active(desk.database) == [loaded.ruleset.hash]
    async with desk.database.reading() as connection:
        assert await bundles.load(connection, loaded.ruleset.hash) == loaded.files
        for name, content_hash in loaded.ruleset.templates.items():
            assert await bundles.load(connection, content_hash) == loaded.templates[name]


async def test_applying_the_same_again_changes_nothing(desk: Desk) -> None:
    """The active rule set applied once more adds no activation; going back to a former one does."""
    first = await desk.apply()
    second = await desk.apply(policy="min_gap: 1h")
    assert await desk.apply(policy="min_gap: 1h") == second
    await desk.apply()
    assert await active(desk.database) == [first, second, first]


async def test_a_broken_set_is_not_applied(desk: Desk) -> None:
    """Mistakes are raised and the former rule set stays active."""
    before = await active(desk.database)
    with pytest.raises(InvalidRuleset, match=r"journeys/cart.yaml:1:1: unknown key 'jurney'"):
        await desk.apply({"cart": "jurney: x\n" + JOURNEYS["thanks"]})
    assert await active(desk.database) == before


async def test_all_workers_take_up_a_new_set_with_the_next_batch(desk: Desk) -> None:
    """Decisions name the rule set that was active when they were taken; running services need no restart."""
    first = (await active(desk.database))[0]
    async with desk.running():
        await desk.append([make_event("order.completed", {"order_id": "o1", "total": 1}, id="before")])
        await desk.drained()
        second = await desk.apply({**JOURNEYS, "more": "trigger: {event: order.completed}\nsteps: [{wait: 1h}, exit]\n"})
        await desk.append([make_event("order.completed", {"order_id": "o2", "total": 1}, id="after")])
        await desk.drained()
    assert await desk.rows("SELECT input_id, ruleset FROM history ORDER BY seq LIMIT 2") == [("before", first), ("after", second)]


async def test_an_enrolment_ends_on_the_version_it_began_with(desk: Desk) -> None:
    """A journey whose file is gone still sends what it had promised to those who were inside."""
    registered = make_event("customer.registered", {"email": "a@shop.example", "consent": {"email": True}}, at=LATER)
    await desk.append([registered, make_event("product.added", {"session_id": "s1"}, id="cart", at=LATER)])
    await desk.work_off()
    await desk.apply({"thanks": JOURNEYS["thanks"]})
    desk.clock.advance(2 * HOUR)
    await desk.work_off()
    assert [(row.journey, row.verdict) for row in await desk.ledger()] == [("cart", "sent")]


async def test_a_stored_set_that_can_not_be_used_leaves_the_former_live(desk: Desk) -> None:
    """A set of a later release is refused with a log line and a count; decisions go on with the one before it."""
    former = (await active(desk.database))[0]
    await activate_raw(desk, {"journeys/new.yaml": "trigger: {comet: seen}\nsteps: [{fly: away}]"})
    metrics = process_metrics()
    rulesets = ActiveRulesets(metrics)
    async with desk.database.reading() as connection:
        assert (await rulesets.current(connection)).hash == former
        assert (await rulesets.current(connection)).hash == former
    assert metric(metrics, "povod_ruleset_reloads_total", result="rejected") == 1
    assert metric(metrics, "povod_ruleset_reloads_total", result="taken") == 1


async def test_the_watcher_applies_changes_and_survives_mistakes(desk: Desk) -> None:
    """A changed file is applied at the next look; a broken one is logged and the former set stays; mended, it is applied."""
    rules, templates = lay_out(desk.folder)
    watcher = RulesWatcher(desk.database, desk.clock, rules, templates, check_template)
    first = (await active(desk.database))[0]
    assert [await watcher.look(), await watcher.look()] == [True, False]
    lay_out(desk.folder, policy="min_gap: 2hours")
    assert [await watcher.look(), await watcher.look()] == [False, False]
    assert await active(desk.database) == [first]
    lay_out(desk.folder, policy="min_gap: 2h")
    assert await watcher.look()
    assert len(await active(desk.database)) == 2
    body = templates / "note" / "email" / "en" / "body.txt"
    body.write_text("Good evening", encoding="utf-8")
    assert await watcher.look()
    assert len(set(await active(desk.database))) == 3
    body.write_text("Good {% if %} evening", encoding="utf-8")
    assert [await watcher.look(), await watcher.look()] == [False, False]
    assert len(await active(desk.database)) == 3


async def test_the_watcher_survives_folders_that_cannot_be_looked_at(desk: Desk) -> None:
    """An error of the disk is no reason to end the process: the former set stays live, and the next look may do better."""
    watcher = RulesWatcher(desk.database, desk.clock, desk.folder / ("x" * 300), desk.folder / "templates", check_template)
    former = await active(desk.database)
    assert not await watcher.look()
    assert await active(desk.database) == former


async def test_the_watcher_stops_when_told(desk: Desk) -> None:
    """The watcher's loop ends with `stop`."""
    stop = asyncio.Event()
    watcher = RulesWatcher(desk.database, desk.clock, *lay_out(desk.folder), check_template, interval=60)
    task = asyncio.create_task(watcher.run(stop))
    await asyncio.sleep(0.05)
    stop.set()
    await asyncio.wait_for(task, 5)
