"""The journal: who holds which delivery, and every step of it, in short transactions.

A claim, in this order: 1. lock due rows that nobody else has, 2. take the consent lock of their customers and addresses, 3. in later
statements read consents, suppressions and kill switches, 4. write what each row becomes. An unsubscribe takes the same lock
exclusively before it is acknowledged, so it is either seen here or waits until this claim has been committed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.consent import suppressions
from services.consent.suppressions import Suppression
from services.contracts import codec
from services.contracts.events import Event
from services.contracts.ids import Channel, MessageId
from services.contracts.messages import Message
from services.contracts.moments import from_micros, to_micros
from services.dispatch import statements
from services.dispatch.facts import read_facts
from services.dispatch.outcomes import outcome_of
from services.dispatch.states import OUTCOMES, Claim, Delivery, State
from services.dispatch.verdicts import Verdict, judge, taken_back
from services.runtime import event_outbox
from services.runtime.clock import Clock
from services.runtime.database import Database

CLAIM_LEASE = timedelta(seconds=5)
"""A claim whose sending has not begun for so long may be claimed again."""


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """What one claim gave: deliveries to send, and how many due ones were ended or put off instead."""

    claim: Claim
    others: int = 0


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery and what has been decided about it."""

    delivery: Delivery
    verdict: Verdict


class Journal:
    """Claims and states of one channel's deliveries, for one worker. Leases are measured by `lease_clock`, real time."""

    def __init__(
        self, database: Database, clock: Clock, lease_clock: Clock, channel: Channel, provider: str, reported: Callable[[], None],
    ) -> None:  # fmt: skip
        """`reported` is called after every commit that put outcome events into the outbox."""
        self._database = database
        self._clock = clock
        self._lease_clock = lease_clock
        self._channel = channel
        self._provider = provider
        self._reported = reported

    async def claim(self, token: str, limit: int) -> Claimed:
        """Claim up to `limit` due messages under a fresh `token`; ends those that must not go, puts off those that may not go yet.

        Raises `DatabaseUnavailable`; then nothing was claimed, or the claim runs out by itself.
        """
        async with self._database.transaction() as connection:
            due = await self._lock_due(connection, limit)
            if not due:
                return Claimed(claim=Claim(token=token, deliveries=()))
            facts = await read_facts(connection, [delivery.message for delivery in due], self._channel, self._provider)
            now = self._clock.now()  # read under the consent lock: a claim is dated after every unsubscribe that it saw
            judged = [Judged(delivery=delivery, verdict=judge(delivery, facts, now)) for delivery in due]
            taken = tuple(each.delivery for each in judged if each.verdict.state is State.CLAIMED)
            await self._write_claim(connection, token, taken, now)
            await self._write_others(connection, [each for each in judged if each.verdict.state is not State.CLAIMED], now)
        if len(taken) < len(judged):
            self._reported()
        return Claimed(claim=Claim(token=token, deliveries=taken), others=len(judged) - len(taken))

    async def begin(self, token: str, deliveries: Sequence[Delivery], lease: timedelta) -> list[Delivery]:
        """Write `sending` for those that this claim still holds, and return them with the attempt counted. Must precede the first byte."""
        rows = [(delivery.message.message_id,) for delivery in deliveries]
        parameters = {"token": token, "lease_until": self._lease_end(lease)}
        async with self._database.transaction() as connection:
            result = await statements.BEGIN.execute(connection, rows, parameters)
            ours = set(result.scalars())
        return [
            msgspec.structs.replace(delivery, attempt=delivery.attempt + 1)
            for delivery in deliveries
            if delivery.message.message_id in ours
        ]

    async def settle(self, results: Sequence[tuple[str, Judged]]) -> int:
        """Write results, each under its claim's token, with their outcome events and suppressions in one transaction.

        Rows that another worker has taken over meanwhile are left alone; those recalled meanwhile end instead of waiting. Returns how
        many were written.
        """
        now = self._clock.now()
        rows = [_settlement(token, each.delivery.message.message_id, each.verdict, now) for token, each in results]
        async with self._database.transaction() as connection:
            settled = await statements.SETTLE.execute(connection, rows, {"now": to_micros(now)})
            written = {row.message_id: row.recall_reason for row in settled}
            ours = [_as_written(each, written) for _, each in results if each.delivery.message.message_id in written]
            await _suppress(connection, ours, self._channel, now)
            await _report(connection, ours, now)
        self._reported()
        return len(written)

    async def recover(self, *, at_most_once: bool) -> int:
        """Take back what dead workers held: claims wait again, sends become ambiguous or end as `unknown`. Returns how many."""
        now = self._clock.now()
        parameters = {"channel": self._channel, "now": to_micros(now), "lease_now": to_micros(self._lease_clock.now())}
        async with self._database.transaction() as connection:
            claims = await connection.execute(statements.LOST_CLAIMS, parameters)
            last = (await connection.execute(statements.LOST_SENDS_LAST, {**parameters, "allowed": 0 if at_most_once else 1})).all()
            again = await connection.execute(statements.LOST_SENDS, parameters)
            await _report(connection, [_lost(row.command, row.attempt, row.ambiguous) for row in last], now)
        if last:
            self._reported()
        return claims.rowcount + len(last) + again.rowcount

    async def next_due_at(self) -> datetime | None:
        """Return when the next waiting delivery is due, None where none waits."""
        async with self._database.reading() as connection:
            micros = (await connection.execute(statements.NEXT_DUE, {"channel": self._channel})).scalar_one()
        return None if micros is None else from_micros(micros)

    async def _lock_due(self, connection: AsyncConnection, limit: int) -> list[Delivery]:
        parameters = {"channel": self._channel, "now": to_micros(self._clock.now()), "limit": limit}
        rows = await connection.execute(statements.DUE[self._database.dialect], parameters)
        return [Delivery(message=message_of(row.command), attempt=row.attempt, ambiguous=row.ambiguous) for row in rows]

    async def _write_claim(self, connection: AsyncConnection, token: str, taken: Sequence[Delivery], now: datetime) -> None:
        if taken:
            parameters = {"token": token, "now": to_micros(now), "lease_until": self._lease_end(CLAIM_LEASE)}
            await statements.CLAIM.execute(connection, [(delivery.message.message_id,) for delivery in taken], parameters)

    async def _write_others(self, connection: AsyncConnection, others: Sequence[Judged], now: datetime) -> None:
        if others:
            rows = [
                (each.delivery.message.message_id, verdict.state, *_times(verdict, now), verdict.reason)
                for each in others
                for verdict in (each.verdict,)
            ]
            await statements.PUT_OFF.execute(connection, rows)
            await _report(connection, others, now)

    def _lease_end(self, lease: timedelta) -> int:
        return to_micros(self._lease_clock.now() + lease)


async def disown(database: Database, worker: str, run: str) -> None:
    """Give up what an earlier run of `worker` still holds, at once instead of after its lease.

    Only for worker names of which at most one process lives at a time.
    """
    async with database.transaction() as connection:
        await connection.execute(statements.DISOWN, {"worker": f"{worker}/", "run": f"{worker}/{run}/"})


def message_of(command: str) -> Message:
    """Return the message of a stored command, which is one by construction."""
    return msgspec.convert(codec.decode_command(command.encode()), Message)


def _settlement(token: str, message_id: MessageId, verdict: Verdict, now: datetime) -> tuple[object, ...]:
    due_at, ended_at = _times(verdict, now)
    return (
        message_id,
        token,
        verdict.state.value,
        due_at,
        verdict.attempt,
        verdict.ambiguous,
        ended_at,
        verdict.reason,
        verdict.detail,
        verdict.provider_id,
    )


def _times(verdict: Verdict, now: datetime) -> tuple[int | None, int | None]:
    """Return `due_at` and `ended_at` as stored."""
    due_at = None if verdict.due_at is None else to_micros(verdict.due_at)
    return due_at, to_micros(now) if verdict.state in OUTCOMES else None


def _as_written(each: Judged, recall_reasons: Mapping[MessageId, str | None]) -> Judged:
    """Return what was written: a delivery that would wait, and was recalled during its attempt, has ended."""
    reason = recall_reasons[each.delivery.message.message_id]
    return each if reason is None else msgspec.structs.replace(each, verdict=taken_back(each.verdict, reason))


def _lost(command: str, attempt: int, ambiguous: int) -> Judged:
    verdict = Verdict(state=State.UNKNOWN, attempt=attempt, ambiguous=ambiguous, reason="worker_lost")
    return Judged(delivery=Delivery(message=message_of(command), attempt=attempt, ambiguous=ambiguous), verdict=verdict)


async def _suppress(connection: AsyncConnection, judged: Iterable[Judged], channel: Channel, now: datetime) -> None:
    found = [(each.delivery.message, each.verdict.reason or "rejected") for each in judged if each.verdict.suppress]
    added = [Suppression(channel, message.recipient, reason, now, message.customer, message.message_id) for message, reason in found]
    await suppressions.add(connection, added)


async def _report(connection: AsyncConnection, judged: Iterable[Judged], now: datetime) -> None:
    events: list[Event] = [event for each in judged if (event := outcome_of(each.delivery, each.verdict, now))]
    if events:
        await event_outbox.put(connection, events)
