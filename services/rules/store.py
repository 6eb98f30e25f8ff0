"""The rules' tables, by bulk statements: customers, history, decisions, outbox, active_ruleset. No statement runs once a row.

Times are microseconds. Every function works inside the caller's transaction.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.ids import ContentHash, CustomerId
from services.contracts.partitioning import bucket_of
from services.runtime.bulk import BulkInsert, BulkStatement

_LOAD = BulkStatement(
    "SELECT c.customer, c.document FROM {rows} JOIN customers c ON c.bucket = rows.bucket AND c.customer = rows.customer",
    bucket="integer",
    customer="text",
)
_SAVE = BulkStatement(
    "INSERT INTO customers (bucket, customer, document, next_due_at, updated_at)"
    " SELECT bucket, customer, document, next_due_at, updated_at FROM {rows} WHERE true"
    " ON CONFLICT (bucket, customer) DO UPDATE"
    " SET document = excluded.document, next_due_at = excluded.next_due_at, updated_at = excluded.updated_at",
    bucket="integer",
    customer="text",
    document="text",
    next_due_at="bigint",
    updated_at="bigint",
)
_HISTORY = BulkInsert(
    "history",
    bucket="integer",
    customer="text",
    seq="bigint",
    kind="text",
    input_id="text",
    source="text",
    type="text",
    payload="text",
    decided_at="bigint",
    ruleset="text",
)
_DECISIONS = BulkInsert(
    "decisions",
    bucket="integer",
    customer="text",
    seq="bigint",
    n="integer",
    journey="text",
    key="text",
    step="text",
    input_id="text",
    verdict="text",
    reason="text",
    channel="text",
    message_id="text",
    detail="text",
    decided_at="bigint",
    ruleset="text",
)
_OUTBOX = BulkInsert(
    "outbox",
    seq="bigint",
    topic="text",
    key="text",
    value="text",
    traceparent="text",
    partition="integer",
)
# Two halves: only inputs behind a customer's first thousand are in the index `history_input`. The first thousand are read once a
# customer, by the primary key, whatever the number of events.
_KNOWN = BulkStatement(
    "WITH early AS MATERIALIZED (SELECT h.customer, h.source, h.input_id FROM (SELECT DISTINCT bucket, customer FROM {rows}) asked"
    " JOIN history h ON h.bucket = asked.bucket AND h.customer = asked.customer AND h.seq <= 1000)"
    " SELECT early.customer, early.source, early.input_id FROM {rows} JOIN early"
    " ON early.customer = rows.customer AND early.input_id = rows.input_id AND early.source = rows.source"
    " UNION SELECT h.customer, h.source, h.input_id FROM {rows} JOIN history h ON h.seq > 1000"
    " AND h.bucket = rows.bucket AND h.customer = rows.customer AND h.input_id = rows.input_id AND h.source = rows.source",
    bucket="integer",
    customer="text",
    source="text",
    input_id="text",
)
_DECIDED = BulkStatement(
    "SELECT h.customer, h.source, h.input_id, h.payload FROM {rows} JOIN history h ON h.seq <= 1000"
    " AND h.bucket = rows.bucket AND h.customer = rows.customer AND h.input_id = rows.input_id AND h.source = rows.source"
    " UNION ALL SELECT h.customer, h.source, h.input_id, h.payload FROM {rows} JOIN history h ON h.seq > 1000"
    " AND h.bucket = rows.bucket AND h.customer = rows.customer AND h.input_id = rows.input_id AND h.source = rows.source",
    bucket="integer",
    customer="text",
    source="text",
    input_id="text",
)
_DUE = text(
    "SELECT customer, next_due_at FROM customers WHERE next_due_at IS NOT NULL AND bucket % :partitions = :partition"
    " ORDER BY next_due_at LIMIT :limit"
)
_POSTPONE = text("UPDATE customers SET next_due_at = :due_at WHERE bucket = :bucket AND customer = :customer")
_UNPUBLISHED = text(
    "SELECT seq, topic, key, value, traceparent FROM outbox WHERE partition = :partition AND seq > :after ORDER BY seq LIMIT :limit"
)
_DELETE_PUBLISHED = text("DELETE FROM outbox WHERE partition = :partition AND seq > :after AND seq <= :last")
_ACTIVE = text("SELECT hash FROM active_ruleset ORDER BY activation DESC LIMIT :limit")


class CustomerRow(NamedTuple):
    """A customer as stored."""

    bucket: int
    customer: CustomerId
    document: str
    next_due_at: int | None
    updated_at: int


class HistoryRow(NamedTuple):
    """One input, in the order in which it was decided. `payload` is the event's JSON, or `{"due_at": ...}` of a timer."""

    bucket: int
    customer: CustomerId
    seq: int
    kind: str
    input_id: str
    source: str
    type: str
    payload: str


class DecisionRow(NamedTuple):
    """One decision; `n` counts the decisions of one input."""

    bucket: int
    customer: CustomerId
    seq: int
    n: int
    journey: str
    key: str
    step: str
    input_id: str
    verdict: str
    reason: str
    channel: str | None
    message_id: str | None
    detail: str


class OutboxRow(NamedTuple):
    """A record to publish; `seq` has no gaps within its partition."""

    seq: int
    topic: str
    key: str
    value: str
    traceparent: str | None


class DueCustomer(NamedTuple):
    """A customer whose earliest timer is due at this moment."""

    customer: CustomerId
    due_at: int


class InputKey(NamedTuple):
    """What an event is deduplicated by."""

    customer: CustomerId
    source: str
    input_id: str


async def load_documents(connection: AsyncConnection, customers: Iterable[CustomerId]) -> dict[CustomerId, str]:
    """Return the stored documents of those customers who have one."""
    rows = [(bucket_of(customer), customer) for customer in customers]
    if not rows:
        return {}
    return {CustomerId(row.customer): row.document for row in await _LOAD.execute(connection, rows)}


async def save_customers(connection: AsyncConnection, rows: Sequence[CustomerRow]) -> None:
    """Insert or replace documents."""
    if rows:
        await _SAVE.execute(connection, rows)


async def append_history(connection: AsyncConnection, rows: Sequence[HistoryRow], decided_at: int, ruleset: ContentHash) -> None:
    """Append inputs to the timeline; all of one transaction share `decided_at` and the rule set."""
    if rows:
        await _HISTORY.execute(connection, [(*row, decided_at, ruleset) for row in rows])


async def append_decisions(connection: AsyncConnection, rows: Sequence[DecisionRow], decided_at: int, ruleset: ContentHash) -> None:
    """Append to the decision ledger."""
    if rows:
        await _DECISIONS.execute(connection, [(*row, decided_at, ruleset) for row in rows])


async def append_outbox(connection: AsyncConnection, partition: int, rows: Sequence[OutboxRow]) -> None:
    """Queue records for publishing."""
    if rows:
        await _OUTBOX.execute(connection, [(*row, partition) for row in rows])


async def known_inputs(connection: AsyncConnection, keys: Iterable[InputKey]) -> set[InputKey]:
    """Return those of the inputs that history has already."""
    rows = [(bucket_of(key.customer), *key) for key in keys]
    if not rows:
        return set()
    return {InputKey(CustomerId(row.customer), row.source, row.input_id) for row in await _KNOWN.execute(connection, rows)}


async def decided_payloads(connection: AsyncConnection, keys: Iterable[InputKey]) -> dict[InputKey, str]:
    """Return what history keeps of those inputs; give it few: each may cost a thousand rows."""
    rows = [(bucket_of(key.customer), *key) for key in keys]
    if not rows:
        return {}
    return {InputKey(CustomerId(row.customer), row.source, row.input_id): row.payload for row in await _DECIDED.execute(connection, rows)}


async def due_customers(connection: AsyncConnection, partitions: int, partition: int, limit: int) -> list[DueCustomer]:
    """Return the customers of a partition with the earliest timers, whether due or not, in the order of their times."""
    found = await connection.execute(_DUE, {"partitions": partitions, "partition": partition, "limit": limit})
    return [DueCustomer(CustomerId(customer), due_at) for customer, due_at in found]


async def postpone(connection: AsyncConnection, customer: CustomerId, due_at: int) -> None:
    """Have a customer's timers looked at later than the document says; the document is left as it is."""
    await connection.execute(_POSTPONE, {"due_at": due_at, "bucket": bucket_of(customer), "customer": customer})


async def unpublished(connection: AsyncConnection, partition: int, after: int, limit: int) -> list[OutboxRow]:
    """Return the outbox rows behind sequence number `after`, in order."""
    found = await connection.execute(_UNPUBLISHED, {"partition": partition, "after": after, "limit": limit})
    return [OutboxRow(*row) for row in found]


async def delete_published(connection: AsyncConnection, partition: int, after: int, last: int) -> None:
    """Delete the outbox rows behind `after`, up to `last`."""
    await connection.execute(_DELETE_PUBLISHED, {"partition": partition, "after": after, "last": last})


async def active_hashes(connection: AsyncConnection, limit: int) -> list[ContentHash]:
    """Return the hashes of the rule sets made active, the newest first."""
    return [ContentHash(row[0]) for row in await connection.execute(_ACTIVE, {"limit": limit})]
