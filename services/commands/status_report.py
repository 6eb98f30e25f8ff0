"""What `povod status` tells: gathered in one look at the log and one at the database; what can't be reached is said, not raised."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.errors import PovodError
from services.contracts.moments import from_micros, to_micros
from services.contracts.topics import DISPATCH, EVENTS, REJECTED
from services.runtime.database import Database
from services.runtime.eventlog.port import EventLog, TopicPartition

TOPICS = (EVENTS, DISPATCH)
_CURSORS = text("SELECT topic, partition, owner, next_offset FROM cursors")
_WAITING = text(
    "SELECT (SELECT count(*) FROM outbox) AS outbox, (SELECT count(*) FROM event_outbox) AS event_outbox,"
    " (SELECT count(*) FROM dead_letters WHERE NOT published) AS dead_letters"
)
_TIMERS = text("SELECT count(*) AS n, min(next_due_at) AS oldest FROM customers WHERE next_due_at <= :now")
_DELIVERIES = text("SELECT state, count(*) AS n FROM deliveries GROUP BY state ORDER BY state")
_DEAD_LETTERS = text("SELECT topic, reason, count(*) AS n FROM dead_letters GROUP BY topic, reason ORDER BY topic, reason")
_HOLDS = text("SELECT scope, name FROM holds ORDER BY scope, name")
_RULESET = text("SELECT hash, activated_at FROM active_ruleset ORDER BY activation DESC LIMIT 1")
Found = TypeVar("Found")


class Reach(msgspec.Struct, frozen=True):
    """Whether log or database answers; `error` says why not."""

    kind: str
    reachable: bool
    error: str | None = None


class Lag(msgspec.Struct, frozen=True):
    """One partition: who works it off, how far, and where the log ends. `lag` in offsets."""

    topic: str
    partition: int
    owner: str | None
    next_offset: int
    end: int
    lag: int


class Timers(msgspec.Struct, frozen=True):
    """Customers whose timers are due and have not fired, and since when the first of them."""

    due: int = 0
    oldest_at: datetime | None = None


class DeadLetters(msgspec.Struct, frozen=True):
    """Records that were given up, of one topic for one reason."""

    topic: str
    reason: str
    count: int


class ActiveRuleset(msgspec.Struct, frozen=True):
    """The rule set that decides now."""

    hash: str
    activated_at: datetime


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the database tells."""

    cursors: Mapping[str, tuple[str, int]]
    waiting: Mapping[str, int]
    timers: Timers
    deliveries: Mapping[str, int]
    dead_letters: Sequence[DeadLetters]
    holds: Sequence[str]
    ruleset: ActiveRuleset | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything; `state` is None where the database does not answer, `partitions` empty where one of the two does not.

    `rejected`: records on the topic of rejected and given-up events, None where the log does not answer.
    """

    at: datetime
    log: Reach
    database: Reach
    partitions: Sequence[Lag] = ()
    rejected: int | None = None
    state: State | None = None

    @property
    def is_well(self) -> bool:
        """Say whether log and database answer."""
        return self.log.reachable and self.database.reachable


async def gather(log: EventLog, log_kind: str, database: Database, now: datetime) -> Report:
    """Look at everything once; never raises for what is unreachable. `log` need not be started."""
    state, database_error = await _attempt(lambda: _read_state(database, now))
    bounds, log_error = await _attempt(lambda: _read_bounds(log))
    lying = None if bounds is None else sum(end - begin for at, (begin, end) in bounds.items() if at.topic == REJECTED)
    return Report(
        at=now,
        log=Reach(log_kind, bounds is not None, log_error),
        database=Reach(database.dialect, state is not None, database_error),
        partitions=_lags(bounds, state) if bounds is not None and state is not None else (),
        rejected=lying,
        state=state,
    )


async def _attempt(look: Callable[[], Awaitable[Found]]) -> tuple[Found | None, str | None]:
    try:
        return await look(), None
    except PovodError as error:
        return None, str(error)


async def _read_bounds(log: EventLog) -> dict[TopicPartition, tuple[int, int]]:
    await log.start()
    partitions = [TopicPartition(topic, number) for topic in (*TOPICS, REJECTED) for number in range(await log.partitions(topic))]
    return {partition: await log.bounds(partition) for partition in partitions}


async def _read_state(database: Database, now: datetime) -> State:
    async with database.reading() as connection:
        timers = (await connection.execute(_TIMERS, {"now": to_micros(now)})).one()
        return State(
            cursors={_name(row.topic, row.partition): (row.owner, row.next_offset) for row in await connection.execute(_CURSORS)},
            waiting=dict((await connection.execute(_WAITING)).mappings().one()),
            timers=Timers(timers.n, None if timers.oldest is None else from_micros(timers.oldest)),
            deliveries={row.state: row.n for row in await connection.execute(_DELIVERIES)},
            dead_letters=[DeadLetters(row.topic, row.reason, row.n) for row in await connection.execute(_DEAD_LETTERS)],
            holds=[f"{row.scope} {row.name}".strip() for row in await connection.execute(_HOLDS)],
            ruleset=await _ruleset(connection),
        )


async def _ruleset(connection: AsyncConnection) -> ActiveRuleset | None:
    row = (await connection.execute(_RULESET)).one_or_none()
    return None if row is None else ActiveRuleset(row.hash, from_micros(row.activated_at))


def _lags(bounds: Mapping[TopicPartition, tuple[int, int]], state: State) -> list[Lag]:
    lags = []
    for partition, (begin, end) in bounds.items():
        if partition.topic not in TOPICS:
            continue
        owner, next_offset = state.cursors.get(_name(*partition), (None, begin))
        lags.append(Lag(*partition, owner, next_offset, end, max(0, end - next_offset)))
    return lags


def _name(topic: str, partition: int) -> str:
    return f"{topic}/{partition}"
