"""The dispatch service: an inbox for commands, one for callbacks where they are explained, a loop a channel, in one process."""

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from secrets import token_hex

import structlog

from services.consent.tokens import TokenSigner
from services.contracts.errors import Retryable
from services.dispatch.channel_loop import ChannelLoop, claim_tokens, loops_wake
from services.dispatch.channels.port import Sender
from services.dispatch.inbox import Inbox
from services.dispatch.journal import Journal, disown
from services.dispatch.receipts import Receipts
from services.dispatch.rendering import Renderer
from services.dispatch.templates import Templates
from services.dispatch.verdicts import RetryPolicy
from services.dispatch.waiting import first_of
from services.runtime.clock import Clock, SystemClock
from services.runtime.database import Database
from services.runtime.dead_letters import DeadLetterLimit
from services.runtime.eventlog.port import EventLog
from services.runtime.settings import DispatchSettings
from services.runtime.telemetry.metrics import Metrics

_BACK_OFF_SECONDS = 0.5
_log = structlog.get_logger()


class DispatchService:
    """Takes commands from the log and delivers messages; several processes may do so on one database.

    `worker` names this process; at most one process may use a name at a time, for at its start it gives up at once what an earlier
    process of that name held. Leases are measured by `lease_clock`, which is the machine's unless a test steps it: processes die in
    real time, whatever the clock port says. `reported` is called after commits that put outcomes into the event outbox: wake its relay.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - a composition root passes every collaborator
        self, log: EventLog, database: Database, clock: Clock, settings: DispatchSettings, senders: Sequence[Sender],
        templates: Templates, signer: TokenSigner, public_url: str, metrics: Metrics, *, worker: str,
        lease_clock: Clock | None = None, chance: Random | None = None, reported: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self._database = database
        self._senders = senders
        self._worker = worker
        self._run = token_hex(4)
        self._reported = reported or _nobody_waits
        self._loops = [
            ChannelLoop(
                Journal(database, clock, lease_clock or SystemClock(), sender.channel, sender.provider, self._reported),
                sender,
                Renderer(templates, signer, public_url, settings.links, clock),
                clock,
                metrics,
                policy=RetryPolicy(max_attempts=settings.max_attempts, base=settings.retry_base, cap=settings.retry_cap),
                claim_size=settings.claim,
                token_prefix=claim_tokens(worker, self._run, sender.channel),
                chance=chance or Random(),  # noqa: S311 - jitter
            )
            for sender in senders
        ]
        limit = DeadLetterLimit(settings.dead_letter_limit, settings.dead_letter_window)
        self._inboxes = [Inbox(log, database, clock, worker, self._arrived, limit)]
        if settings.receipts:
            receipts = Receipts(settings.receipts, metrics)
            self._inboxes.append(Inbox(log, database, clock, worker, self._reported, limit, reading=receipts))

    def wake(self) -> None:
        """Make every channel look for due messages at once."""
        loops_wake(self._loops)

    def _arrived(self) -> None:
        self.wake()
        self._reported()  # a recall may have ended messages

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is under way and close the senders. Raises `Fatal` where a person must act."""
        await self._disown(stop)
        try:
            await self._run_all(stop)
        except ExceptionGroup as group:
            raise _first(group) from group
        finally:
            for sender in self._senders:
                await sender.close()

    async def _run_all(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            for inbox in self._inboxes:
                group.create_task(inbox.run(stop))
            for loop in self._loops:
                group.create_task(loop.run(stop))

    async def _disown(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                return await disown(self._database, self._worker, self._run)
            except Retryable as error:
                _log.warning("trying again", action="dispatch.starting", error=str(error))
                await first_of(stop.wait(), asyncio.sleep(_BACK_OFF_SECONDS))
        return None


def _nobody_waits() -> None:
    return None


def _first(group: ExceptionGroup[Exception]) -> Exception:
    """Return what really happened: the first exception inside nested groups."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first
