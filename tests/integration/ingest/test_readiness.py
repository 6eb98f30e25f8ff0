"""When a process that only takes events is ready."""

import asyncio
from pathlib import Path

from services.commands.chassis import opened
from services.commands.processes import ingest_health_of, ingest_services, relays
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
