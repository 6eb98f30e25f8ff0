"""Running services, draining them, ending with the first error."""

import asyncio
import os
import signal
from datetime import timedelta

import pytest

from services.contracts.errors import LogTruncated
from services.runtime.health import HealthState
from services.runtime.lifecycle import Service, run_services, stopping_on_signals


class Recorder:
    """Services that note when they begin and end."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.started = asyncio.Event()

    def polite(self, name: str) -> Service:
        """Return one that ends when told."""

        async def run(stop: asyncio.Event) -> None:
            self.notes.append(f"{name} on")
            self.started.set()
            await stop.wait()
            self.notes.append(f"{name} off")

        return Service(name, run)

    def deaf(self, name: str) -> Service:
        """Return one that ends only when cancelled."""

        async def run(_stop: asyncio.Event) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                self.notes.append(f"{name} cancelled")

        return Service(name, run)

    def broken(self, name: str) -> Service:
        """Return one that fails once the others run."""

        async def run(_stop: asyncio.Event) -> None:
            await self.started.wait()
            raise LogTruncated(name)

        return Service(name, run)


@pytest.fixture
def recorder() -> Recorder:
    """Return a recorder."""
    return Recorder()


async def test_services_stop_last_first(recorder: Recorder) -> None:
    """What takes work in stops before what it hands the work to; readiness says so at once."""
    stop, health = asyncio.Event(), HealthState({})
    running = asyncio.create_task(run_services([recorder.polite("relay"), recorder.polite("ingest")], stop=stop, health=health))
    await recorder.started.wait()
    assert (await health.readiness()).is_ready
    stop.set()
    await running
    assert recorder.notes == ["relay on", "ingest on", "ingest off", "relay off"]
    assert not (await health.readiness()).is_ready


async def test_a_deaf_service_is_cancelled_in_bounded_time(recorder: Recorder) -> None:
    """One that does not listen is cancelled; the others still get their share of the time."""
    stop = asyncio.Event()
    stop.set()
    services = [recorder.polite("relay"), recorder.deaf("stuck")]
    async with asyncio.timeout(2):
        await run_services(services, stop=stop, drain=timedelta(milliseconds=100))
    assert recorder.notes == ["relay on", "stuck cancelled", "relay off"]


async def test_a_slow_service_may_use_the_time_that_others_leave(recorder: Recorder) -> None:
    """One that needs most of the time for what it has begun gets it, and those after it still end in order."""

    async def finish(stop: asyncio.Event) -> None:
        await stop.wait()
        await asyncio.sleep(1.0)
        recorder.notes.append("mail sent")

    stop = asyncio.Event()
    stop.set()
    services = [recorder.polite("relay"), recorder.polite("letters"), Service("dispatch", finish)]
    await run_services(services, stop=stop, drain=timedelta(seconds=3.5))
    assert recorder.notes == ["relay on", "letters on", "mail sent", "letters off", "relay off"]


async def test_a_crash_stops_all_and_is_raised(recorder: Recorder) -> None:
    """The first error ends every service and comes out as it was."""
    with pytest.raises(LogTruncated, match="rules"):
        await run_services([recorder.polite("relay"), recorder.broken("rules")], stop=asyncio.Event())
    assert recorder.notes == ["relay on", "relay off"]


async def test_an_error_while_draining_is_raised(recorder: Recorder) -> None:
    """A service that fails when it is told to stop is not forgotten."""

    async def run(stop: asyncio.Event) -> None:
        await stop.wait()
        raise LogTruncated("late")

    stop = asyncio.Event()
    stop.set()
    with pytest.raises(LogTruncated, match="late"):
        await run_services([recorder.polite("relay"), Service("rules", run)], stop=stop)
    assert recorder.notes == ["relay on", "relay off"]


async def test_a_service_that_returns_ends_the_process(recorder: Recorder) -> None:
    """A service that is done stops the others, without an error."""

    async def run(_stop: asyncio.Event) -> None:
        await recorder.started.wait()

    await run_services([recorder.polite("relay"), Service("demo", run)], stop=asyncio.Event())
    assert recorder.notes == ["relay on", "relay off"]


async def test_cancelling_the_runner_cancels_its_services(recorder: Recorder) -> None:
    """No task is left behind."""
    running = asyncio.create_task(run_services([recorder.polite("relay"), recorder.deaf("stuck")], stop=asyncio.Event()))
    await recorder.started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert recorder.notes == ["relay on", "stuck cancelled"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_sets_the_event(number: signal.Signals) -> None:
    """SIGTERM and SIGINT ask for an orderly end."""
    async with stopping_on_signals() as stop:
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), 1)


async def test_a_second_signal_cancels() -> None:
    """Whoever asks twice does not want to wait."""

    async def impatient() -> None:
        async with stopping_on_signals() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            await stop.wait()
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.create_task(impatient()), 2)
