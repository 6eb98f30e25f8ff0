"""Run a process's services until it is told to stop, then let them finish in bounded time.

    async with stopping_on_signals() as stop:
        await run_services([Service("outbox", relay.run), Service("ingest", server.run)], stop=stop, health=health)

Services are stopped one after the other, the last first: put what others hand their work to in front.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from services.runtime.health import HealthState

DRAIN = timedelta(seconds=20)
"""Kubernetes kills after 30 seconds by default: this leaves room."""
_RESERVE_SECONDS = 1.0
"""What is kept of the time for each service that is still to be stopped."""
_CANCEL_SECONDS = 5.0
_log = structlog.get_logger()


@dataclass(frozen=True)
class Service:
    """Something that runs until its event is set, then finishes what it has begun and returns. May be cancelled at any time."""

    name: str
    run: Callable[[asyncio.Event], Awaitable[None]]


@dataclass
class _Running:
    service: Service
    task: asyncio.Task[None]
    stop: asyncio.Event = field(default_factory=asyncio.Event)


async def run_services(
    services: Sequence[Service], *, stop: asyncio.Event, health: HealthState | None = None, drain: timedelta = DRAIN
) -> None:
    """Run services until `stop` is set or one of them ends; then stop them all, last first, within `drain` (real time).

    One that takes longer is cancelled. The first service's error is raised again after all have ended.
    """
    running = [_start(service) for service in services]
    try:
        await _first_end(running, stop)
        if health is not None:
            health.start_draining()
        broken = _errors(running)
        await _drain(running, drain)
    finally:
        await _cancel([each.task for each in running])
    broken += [error for error in _errors(running) if error not in broken]
    if broken:
        raise broken[0]


@asynccontextmanager
async def stopping_on_signals() -> AsyncIterator[asyncio.Event]:
    """Give an event that SIGTERM and SIGINT set; a second signal cancels the caller at once."""
    loop, caller, stop = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()

    def _told() -> None:
        if stop.is_set() and caller is not None:
            caller.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _told)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _start(service: Service) -> _Running:
    stop = asyncio.Event()

    async def _run() -> None:
        await service.run(stop)

    return _Running(service, asyncio.create_task(_run(), name=service.name), stop)


async def _first_end(running: Sequence[_Running], stop: asyncio.Event) -> None:
    told = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait({told, *(each.task for each in running)}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        told.cancel()
    for task in done - {told}:
        _log.info("a service has ended, so all do", action="service.ended", service=task.get_name())


async def _drain(running: Sequence[_Running], drain: timedelta) -> None:
    """Stop one after the other; each may take what is left of the time, but for a reserve for those after it."""
    ends_at = asyncio.get_running_loop().time() + drain.total_seconds()
    for others, each in zip(range(len(running) - 1, -1, -1), reversed(running), strict=True):
        each.stop.set()
        _, late = await asyncio.wait({each.task}, timeout=_time_for_one(ends_at - asyncio.get_running_loop().time(), others))
        if late:
            _log.warning("did not finish in time, is cancelled", action="service.cancelled", service=each.service.name)
            each.task.cancel()


def _time_for_one(seconds_left: float, others: int) -> float:
    reserve = min(_RESERVE_SECONDS, seconds_left / (others + 1))
    return max(0.0, seconds_left - others * reserve)


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    _, stuck = await asyncio.wait(tasks, timeout=_CANCEL_SECONDS) if tasks else ((), ())
    for task in stuck:
        _log.error("does not end though cancelled", action="service.stuck", service=task.get_name())


def _errors(running: Sequence[_Running]) -> list[BaseException]:
    ended = [each.task for each in running if each.task.done() and not each.task.cancelled()]
    return [error for task in ended if (error := task.exception()) is not None]
