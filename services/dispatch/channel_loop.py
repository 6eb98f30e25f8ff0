"""The sender loop of one channel: feed - send - record, three stages that never wait for another channel.

feeder    claim due messages, render them, write `sending`, put them into the queue
workers   as many as the sender allows: hand one over, keep the answer
recorder  write what has gathered meanwhile, in one transaction

A crash at any point leaves rows that `Journal.recover` understands.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from random import Random
from time import monotonic

import msgspec
import structlog

from services.contracts.errors import RenderFailed, Retryable
from services.dispatch.breaker import Breaker
from services.dispatch.channels.port import Answer, Rendered, Sender
from services.dispatch.journal import Journal, Judged
from services.dispatch.rendering import Renderer
from services.dispatch.results import Results
from services.dispatch.states import Claim, Delivery
from services.dispatch.verdicts import RetryPolicy, Verdict, not_begun, settle, unusable
from services.dispatch.waiting import first_of
from services.runtime.clock import Clock
from services.runtime.telemetry import metrics as telemetry
from services.runtime.telemetry.metrics import Metrics

BEGIN_WITHIN = timedelta(seconds=10)
"""A message whose `sending` was written so long ago, in real time, is given back unsent: its lease covers no later beginning."""
_MARGIN = timedelta(seconds=5)
_POLL_SECONDS = 1.0
_BACK_OFF_SECONDS = 0.5
_LOCKED_SECONDS = 0.02
_RENDERED_IN_ONE_GO = 20
_log = structlog.get_logger()


class Job(msgspec.Struct, frozen=True):
    """A message in the queue; `begin_by` on the monotonic clock."""

    token: str
    delivery: Delivery
    rendered: Rendered
    begin_by: float


class ChannelLoop:
    """Sends one channel's messages through one sender."""

    def __init__(  # noqa: PLR0913 - the composition of one channel
        self, journal: Journal, sender: Sender, renderer: Renderer, clock: Clock, metrics: Metrics, *, policy: RetryPolicy,
        claim_size: int, token_prefix: str, chance: Random,
    ) -> None:  # fmt: skip
        self._journal = journal
        self._sender = sender
        self._renderer = renderer
        self._clock = clock
        self._metrics = metrics
        self._policy = policy
        # What a crash leaves between `sending` and the first byte is lost on an at-most-once channel: keep that small.
        self._claim_size = min(claim_size, sender.concurrency) if sender.at_most_once else claim_size
        self._token_prefix = token_prefix
        self._chance = chance
        self._claims = 0
        self._breaker = Breaker()
        self._queue: asyncio.Queue[Job | None] = asyncio.Queue()
        self._woken = asyncio.Event()
        self._has_room = asyncio.Event()
        self._results = Results(journal)

    def wake(self) -> None:
        """Look for due messages at once."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set; then finish what is under way (bounded by the sender's patience) and give the rest back."""
        async with asyncio.TaskGroup() as group:
            recorder = group.create_task(self._results.run())
            recovery = group.create_task(self._recover_often(stop))
            workers = [group.create_task(self._work(stop)) for _ in range(self._sender.concurrency)]
            await self._feed_until(stop)
            for _ in workers:
                self._queue.put_nowait(None)
            await asyncio.gather(recovery, *workers)
            self._results.close()
            await recorder

    async def _feed_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._feed_once(stop)
            except Retryable as error:
                _log.warning("trying again", action="dispatch.feeding_failed", channel=self._sender.channel, error=str(error))
                await self._rest(stop, _BACK_OFF_SECONDS)

    async def _feed_once(self, stop: asyncio.Event) -> None:
        self._woken.clear()
        if self._queue.qsize() > self._claim_size // 4:
            self._has_room.clear()
            await first_of(self._has_room.wait(), stop.wait())
        elif limit := self._breaker.allowance(self._clock.now(), self._claim_size):
            if not await self._feed(limit):
                await self._idle(stop)
        else:
            await self._wait_for_breaker(stop)

    async def _feed(self, limit: int) -> int:
        """Claim, render, write `sending`, queue. Returns how many rows were dealt with."""
        self._claims += 1
        claimed = await self._journal.claim(f"{self._token_prefix}{self._claims}", limit)
        self._breaker.probe()
        deliveries = claimed.claim.deliveries
        self._metrics.add(telemetry.DISPATCH_CLAIMS, len(deliveries), channel=self._sender.channel, result="claimed")
        self._metrics.add(telemetry.DISPATCH_CLAIMS, claimed.others, channel=self._sender.channel, result="not_now")
        if not await self._announce(claimed.claim):
            self._breaker.abandon_probe()
        return len(deliveries) + claimed.others

    async def _announce(self, claim: Claim) -> int:
        rendered = await self._render(claim)
        ready = [delivery for delivery in claim.deliveries if delivery.message.message_id in rendered]
        if not ready:
            return 0
        begin_by = monotonic() + BEGIN_WITHIN.total_seconds()
        begun = await self._journal.begin(claim.token, ready, BEGIN_WITHIN + self._sender.patience + _MARGIN)
        for delivery in begun:
            self._queue.put_nowait(Job(claim.token, delivery, rendered[delivery.message.message_id], begin_by))
        return len(begun)

    async def _render(self, claim: Claim) -> dict[str, Rendered]:
        rendered: dict[str, Rendered] = {}
        for n, delivery in enumerate(claim.deliveries, start=1):
            try:
                rendered[delivery.message.message_id] = await self._renderer.render(delivery.message)
            except RenderFailed as error:
                self._keep(claim.token, delivery, unusable(delivery, error.code, error.message))
            if n % _RENDERED_IN_ONE_GO == 0:
                await asyncio.sleep(0)  # let heartbeats and other channels run
        return rendered

    async def _work(self, stop: asyncio.Event) -> None:
        while not _is_cancelled() and (job := await self._queue.get()) is not None:
            if self._queue.qsize() <= self._claim_size // 4:
                self._has_room.set()
            if stop.is_set() or monotonic() > job.begin_by or not self._breaker.may_send(self._clock.now()):
                self._keep(job.token, job.delivery, not_begun(job.delivery, self._clock.now()))
            else:
                await self._attempt(job)

    async def _attempt(self, job: Job) -> None:
        began = monotonic()
        answer = await self._sender.send(job.rendered)
        now = self._clock.now()
        if self._breaker.paused_until is not None:
            self._woken.set()  # this was the probe
        self._breaker.note(answer, now)
        verdict = settle(job.delivery, answer, now, self._policy, self._chance, at_most_once=self._sender.at_most_once)
        self._keep(job.token, job.delivery, verdict)
        self._count(job, answer, monotonic() - began)
        _tell(job, answer, verdict)

    def _count(self, job: Job, answer: Answer, seconds: float) -> None:
        channel = self._sender.channel
        self._metrics.add(telemetry.DISPATCH_ATTEMPTS, channel=channel, answer=type(answer).__name__.lower())
        self._metrics.observe(telemetry.DISPATCH_SECONDS, seconds, channel=channel)
        latency = (self._clock.now() - job.delivery.message.decided_at).total_seconds()
        self._metrics.observe(telemetry.DELIVERY_LATENCY, max(0.0, latency), channel=channel)

    def _keep(self, token: str, delivery: Delivery, verdict: Verdict) -> None:
        self._results.add(token, Judged(delivery=delivery, verdict=verdict))
        if verdict.due_at is not None:
            self._woken.set()

    async def _idle(self, stop: asyncio.Event) -> None:
        """Wait for new messages, the next due one (by the clock port) or, for what other processes did, a second."""
        due_at = await self._journal.next_due_at()
        if due_at is not None and due_at <= self._clock.now():
            return await self._rest(stop, _LOCKED_SECONDS)  # another worker is claiming it right now
        works = [self._woken.wait(), stop.wait(), asyncio.sleep(_POLL_SECONDS)]
        return await first_of(*works, *([self._clock.sleep_until(due_at)] if due_at else []))

    async def _wait_for_breaker(self, stop: asyncio.Event) -> None:
        until = self._breaker.paused_until
        works = [self._woken.wait(), stop.wait(), asyncio.sleep(_POLL_SECONDS)]
        is_ahead = until is not None and until > self._clock.now()
        await first_of(*works, *([self._clock.sleep_until(until)] if until and is_ahead else []))

    async def _recover_often(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                if await self._journal.recover(at_most_once=self._sender.at_most_once):
                    self._woken.set()
            except Retryable as error:
                _log.warning("trying again", action="dispatch.recovery_failed", channel=self._sender.channel, error=str(error))
            await self._rest(stop, _POLL_SECONDS)

    async def _rest(self, stop: asyncio.Event, seconds: float) -> None:
        await first_of(stop.wait(), asyncio.sleep(seconds))


def _tell(job: Job, answer: Answer, verdict: Verdict) -> None:
    """Write a line about an attempt, without the address: `message.sent`, or what else has become of the message."""
    message = job.delivery.message
    _log.info(
        "attempted",
        action=f"message.{verdict.state}",
        message_id=message.message_id,
        channel=message.channel,
        journey=message.journey,
        attempt=job.delivery.attempt,
        answer=type(answer).__name__.lower(),
        reason=verdict.reason,
        traceparent=job.rendered.traceparent,
    )


def _is_cancelled() -> bool:
    """Say whether this task was told to end: `asyncio.wait_for` of Python 3.11, which libraries use, can swallow the exception."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def claim_tokens(worker: str, run: str, channel: str) -> str:
    """Return the prefix of a loop's claim tokens: who, in which run, for which channel."""
    return f"{worker}/{run}/{channel}/"


def loops_wake(loops: Sequence[ChannelLoop]) -> None:
    """Wake all loops."""
    for loop in loops:
        loop.wake()
