"""When a process that only takes events is ready."""

import asyncio
from pathlib import Path

import httpx

from services.commands.chassis import opened
from services.commands.processes import ingest_health_of, ingest_services, relays
from services.ingest.keys import create_key
from services.runtime.clock import SystemClock
from services.runtime.settings import IngestSettings, Settings


async def test_ingest_waits_for_its_keys_and_not_for_its_database(tmp_path: Path) -> None:
    """It is not ready before the write keys are loaded, and stays ready when the database is gone: it takes events without one."""
    stop = asyncio.Event()
    async with opened(Settings(data=tmp_path, ingest=IngestSettings(port=0)), SystemClock()) as chassis:
        health = ingest_health_of(chassis)
        (keys, _), server = ingest_services(chassis, health, relays(chassis)[0])
        before = await health.readiness()
        loading = asyncio.ensure_future(keys.run(stop))
        async with asyncio.timeout(10):
            while not (await health.readiness()).is_ready:  # noqa: ASYNC110 - readiness can only be asked for
                await asyncio.sleep(0.01)
        stop.set()
        await loading
        await chassis.database.close()
        after = await health.readiness()
        server._listener.close()
    assert (before.is_ready, before.checks) == (False, {"log": "ok", "keys": "the write keys are not loaded yet"})
    assert (after.is_ready, after.checks) == (True, {"log": "ok", "keys": "ok"})


async def test_a_request_before_the_keys_are_read_waits_for_them(tmp_path: Path) -> None:
    """Who connects before the first look at the keys is answered after it, with 200 and not with 503."""
    stop = asyncio.Event()
    async with opened(Settings(data=tmp_path, ingest=IngestSettings(port=0)), SystemClock()) as chassis:
        secret = await create_key(chassis.database, "shop", "server", chassis.clock.now())
        (keys, ingest), server = ingest_services(chassis, ingest_health_of(chassis), relays(chassis)[0])
        serving = asyncio.ensure_future(ingest.run(stop))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
            posting = asyncio.create_task(_post(client, secret))
            _, waiting = await asyncio.wait({posting}, timeout=0.3)
            assert waiting == {posting}
            loading = asyncio.ensure_future(keys.run(stop))
            answer = await posting
        stop.set()
        await asyncio.gather(serving, loading)
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)


async def test_without_a_database_the_answer_is_503_at_once(tmp_path: Path) -> None:
    """Where the first look at the keys fails, requests are told to come again instead of waiting, and the keys are looked for again."""
    stop = asyncio.Event()
    async with opened(Settings(data=tmp_path, ingest=IngestSettings(port=0)), SystemClock()) as chassis:
        secret = await create_key(chassis.database, "shop", "server", chassis.clock.now())
        state, away = tmp_path / "state.db", tmp_path / "away.db"
        await chassis.database.close()
        state.rename(away)
        state.mkdir()
        (keys, ingest), server = ingest_services(chassis, ingest_health_of(chassis), relays(chassis)[0])
        running = [asyncio.ensure_future(service.run(stop)) for service in (keys, ingest)]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
            refused = await _post(client, secret)
            state.rmdir()
            away.rename(state)
            async with asyncio.timeout(4):  # the interval is longer: it was asked for
                while (answer := await _post(client, secret)).status_code != httpx.codes.OK:  # noqa: ASYNC110 - another task's state can only be asked for
                    await asyncio.sleep(0.05)
        stop.set()
        await asyncio.gather(*running)
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "keys_unavailable", "1")
    assert answer.json()["accepted"] == 1


async def _post(client: httpx.AsyncClient, secret: str) -> httpx.Response:
    event = {"type": "page.viewed", "customer": "42", "id": "first"}
    return await client.post("/v1/events", json=event, headers={"authorization": f"Bearer {secret}"})
