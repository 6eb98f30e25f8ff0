"""Is this process alive, and is it ready for work? What `/livez` and `/readyz` answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Literal, NamedTuple

import structlog

Check = Callable[[], Awaitable[bool]]
Reason = Callable[[], str | None]
Answer = Literal["ok", "failing", "silent"]
PATIENCE = timedelta(seconds=1)
"""How long one check may take before it counts as silent (real time)."""
_log = structlog.get_logger()


class Readiness(NamedTuple):
    """The answer of `/readyz`: whether work may be sent here, and each check's `Answer` or, in words, what it waits for.

    `draining` where the process is ending.
    """

    is_ready: bool
    checks: Mapping[str, str]
    draining: bool


class HealthState:
    """Named checks and whether the process is draining. Liveness has no check: a process that answers is alive."""

    def __init__(self, checks: Mapping[str, Check], *, patience: timedelta = PATIENCE) -> None:
        self._checks = dict(checks)
        self._reasons: dict[str, Reason] = {}
        self._patience = patience.total_seconds()
        self.is_draining = False

    def wait_for(self, name: str, reason: Reason) -> None:
        """Ask `reason` too from now on what a part of this process waits for; None: nothing. It must not block."""
        self._reasons[name] = reason

    def start_draining(self) -> None:
        """Answer from now on that no work should be sent here."""
        self.is_draining = True

    async def readiness(self) -> Readiness:
        """Run all checks at once, each for at most the patience given; never raises."""
        answers = await asyncio.gather(*(self._ask(name, check) for name, check in self._checks.items()))
        found: dict[str, str] = dict(zip(self._checks, answers, strict=True))
        found |= {name: reason() or "ok" for name, reason in self._reasons.items()}
        healthy = all(answer == "ok" for answer in found.values())
        return Readiness(healthy and not self.is_draining, found, self.is_draining)

    async def _ask(self, name: str, check: Check) -> Answer:
        try:
            async with asyncio.timeout(self._patience):
                return "ok" if await check() else "failing"
        except TimeoutError:
            return "silent"
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is "failing", and the log says why
            _log.warning("a health check failed", action="health.failed", check=name, error=repr(error))
            return "failing"
