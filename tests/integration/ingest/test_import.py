"""`povod import` into a running ingest, and after a kill: every event once, whatever happens between."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.commands.import_http import HttpTarget
from services.contracts.codec import decode_event
from services.contracts.errors import InvalidEvent, Rejected
from services.contracts.incoming import Incoming, Item, Unreadable, read_items
from services.runtime.clock import FrozenClock, SystemClock
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.eventlog.embedded_reader import Wanted
from services.runtime.eventlog.port import TopicPartition
from tests.integration.ingest.door import Door, open_door, until

ROOT = Path(__file__).parents[3]
EVENTS = 60_000


def target_of(door: Door, key: str = "") -> HttpTarget:
    """Return a target that posts to the door with the server key."""
    door.client.headers["authorization"] = f"Bearer {key or door.key}"
    return HttpTarget(door.client)


def visits(count: int, size: int = 0) -> list[Item]:
    """Return that many events with ids, each of at least `size` characters."""
    return [Incoming(type="visited", customer=str(number), id=f"v{number}", data={"x": "x" * size}) for number in range(count)]


async def test_events_are_posted_and_judged_there(door: Door) -> None:
    """Results come in the order of the items; what could not be read is judged here, what is dirty is cleaned there."""
    dirty = read_items(b'{"type": "visited", "customer": "4", "id": "d", "data": {"name": "\\ud83d", "n": NaN}}')
    unreadable = Unreadable(InvalidEvent("no JSON", code="invalid_json", pointer=""), "x")
    results = await target_of(door).take([*visits(1), unreadable, Incoming(type="visited"), *dirty])
    assert [(result.status, result.code, result.id) for result in results] == [
        ("accepted", None, "v0"),
        ("rejected", "invalid_json", None),
        ("rejected", "missing_customer", None),
        ("accepted", None, "d"),
    ]
    assert sorted(event.id for event in await door.events()) == ["d", "v0"]


async def test_requests_shrink_to_what_the_door_takes(tmp_path: Path, sqlite_url: str, frozen_clock: FrozenClock) -> None:
    """413 halves a request; an event that is too large alone is rejected, and its neighbours arrive."""
    async with open_door(tmp_path, sqlite_url, frozen_clock, max_body=20_000, max_event=65_536) as door:
        results = await target_of(door).take([*visits(100, 1_000), Incoming(type="big", customer="1", data={"x": "x" * 30_000})])
        assert Counter((result.status, result.code) for result in results) == {
            ("accepted", None): 100,
            ("rejected", "payload_too_large"): 1,
        }
        assert len(await door.events()) == 100


async def test_a_door_that_is_not_ready_is_asked_again(door: Door) -> None:
    """A disk that is stuck makes the door answer 503; once it moves, the same batch arrives, its events with the same ids."""
    async with door.stuck_disk():
        taking = asyncio.create_task(target_of(door).take(visits(10)))
        await asyncio.sleep(0.5)
        assert not taking.done()
    assert [result.status for result in await taking] == ["accepted"] * 10
    assert {event.id for event in await door.events()} == {f"v{number}" for number in range(10)}


async def test_a_wrong_key_ends_the_import(door: Door) -> None:
    """Nobody's key is not tried again."""
    with pytest.raises(Rejected, match="401"):
        await target_of(door, "sk_nobody").take(visits(1))


@pytest.mark.parametrize("body", [b"<html>hi</html>", b"[]", b"{}", b'{"results": []}', b'{"results": [{"index": "x"}]}'])
async def test_who_is_no_ingest_ends_the_import(body: bytes) -> None:
    """Somebody else's 200 (a login page, another service) is told as such, and nothing counts as imported."""

    async def foreign(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async with httpx.AsyncClient(base_url="http://foreign", transport=httpx.ASGITransport(foreign)) as client:
        with pytest.raises(Rejected, match="not as an ingest does"):
            await HttpTarget(client).take(visits(1))


async def test_the_command_posts_to_a_running_ingest(door: Door, tmp_path: Path) -> None:
    """With --url nothing is opened here but the memory of what was imported: the same call again posts nothing."""
    file = tmp_path / "visits.ndjson"
    file.write_text('{"type": "visited", "customer": "1", "historical": true}\n{"type": "visited"}\nno json\n', encoding="utf-8")
    before = ("--url", str(door.client.base_url), "--key", door.key)
    for resumed_at in (0, 3):
        printed, _ = await (await _start(tmp_path, file, *before)).communicate()
        (done,) = json.loads(printed)["files"]
        assert (done["rows"], done["accepted"], set(done["codes"]), done["resumed_at"]) == (
            3,
            1,
            {"missing_customer", "invalid_json"},
            resumed_at,
        )
    assert [(event.source, event.historical) for event in await door.events()] == [("shop", True)]
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["imports"]


async def test_killed_and_started_again(tmp_path: Path) -> None:
    """A run that is killed in the middle is gone on with by the next call: no event is lost, and each has one id."""
    file = tmp_path / "visits.ndjson"
    file.write_text("".join(f'{{"type": "visited", "customer": "{n % 97}"}}\n' for n in range(EVENTS)), encoding="utf-8")
    first = await _start(tmp_path, file)
    kept = tmp_path / "data" / "imports"
    await until(lambda: kept.is_dir() and any(kept.glob("*.json")))
    first.send_signal(signal.SIGKILL)
    await first.wait()
    second = await _start(tmp_path, file)
    printed, _ = await second.communicate()
    (done,) = json.loads(printed)["files"]
    assert 0 < done["resumed_at"] < EVENTS
    assert (done["rows"], done["accepted"]) == (EVENTS, EVENTS)
    ids = await _ids(tmp_path / "data")
    assert len(set(ids)) == EVENTS
    assert len(ids) <= EVENTS + 1_000


async def _start(folder: Path, file: Path, *more: str) -> asyncio.subprocess.Process:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "POVOD_DATA": str(folder / "data")}
    command = (sys.executable, "-m", "services.cli", "import", str(file), "--json", *more)
    return await asyncio.create_subprocess_exec(*command, cwd=folder, env=variables, stdout=asyncio.subprocess.PIPE)


async def _ids(data: Path) -> list[str]:
    log = EmbeddedEventLog(data / "log.db", {"povod.events": 8}, SystemClock())
    await log.start()
    try:
        partitions = [TopicPartition("povod.events", number) for number in range(8)]
        shares = await log.fetch([Wanted(each, 0, log.span(each)[1]) for each in partitions], 1_000_000)
        return [decode_event(record.value).id for record in (record for share in shares for record in share)]
    finally:
        await log.close()
