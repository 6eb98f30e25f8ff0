"""One ORM transaction an event: what rules would be if each event were a unit of work of SQLAlchemy's asynchronous session.

The same tables and rows as Povod's (customer document, history, decision, every third time an outbox row, cursor), read by primary key,
flushed and committed one event at a time. It is spared Kafka, decoding and deciding. `python -m bench.baselines.orm URL SECONDS`.
"""

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import uvloop
from sqlalchemy import BigInteger
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bench.samples import Sample, samples
from services.contracts.moments import to_micros
from services.contracts.partitioning import bucket_of

TOPIC, PARTITION = "povod.events", 0
EVENTS = 2_000
DETAIL = json.dumps(
    {"gates": [{"gate": name, "passed": True} for name in ("stage", "consent", "reachable", "quiet_hours", "frequency_cap")]}
)


class Base(DeclarativeBase):
    """The declarative base."""

    type_annotation_map = {int: BigInteger}  # noqa: RUF012 - SQLAlchemy's way


class CursorRow(Base):
    """How far the partition is worked off."""

    __tablename__ = "cursors"
    topic: Mapped[str] = mapped_column(primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True)
    epoch: Mapped[int]
    owner: Mapped[str]
    next_offset: Mapped[int]
    outbox_seq: Mapped[int]
    frontier_at: Mapped[int]


class CustomerRow(Base):
    """A customer's document."""

    __tablename__ = "customers"
    bucket: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str] = mapped_column(primary_key=True)
    document: Mapped[str]
    next_due_at: Mapped[int | None]
    updated_at: Mapped[int]


class HistoryRow(Base):
    """An input."""

    __tablename__ = "history"
    bucket: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    input_id: Mapped[str]
    source: Mapped[str]
    type: Mapped[str]
    decided_at: Mapped[int]
    ruleset: Mapped[str]
    payload: Mapped[str]


class DecisionRow(Base):
    """A row of the ledger."""

    __tablename__ = "decisions"
    bucket: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    decided_at: Mapped[int]
    journey: Mapped[str]
    key: Mapped[str]
    step: Mapped[str]
    ruleset: Mapped[str]
    input_id: Mapped[str]
    verdict: Mapped[str]
    reason: Mapped[str]
    channel: Mapped[str | None]
    message_id: Mapped[str | None]
    detail: Mapped[str]


class OutboxRow(Base):
    """A message to publish."""

    __tablename__ = "outbox"
    partition: Mapped[int] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    topic: Mapped[str]
    key: Mapped[str]
    value: Mapped[str]
    traceparent: Mapped[str | None]


async def handle(session: AsyncSession, sample: Sample, every_third: bool) -> None:  # noqa: FBT001 - one caller
    """Read and write one event's rows."""
    name = sample.key.decode()
    now, bucket = to_micros(datetime.now(UTC)), bucket_of(name)
    cursor = await session.get_one(CursorRow, (TOPIC, PARTITION))
    customer = await session.get(CustomerRow, (bucket, name))
    if customer is None:
        customer = CustomerRow(bucket=bucket, customer=name, document='{"seq": 0, "recent": []}', updated_at=now)
        session.add(customer)
    document = json.loads(customer.document)
    document["seq"] += 1
    document["recent"] = [*document["recent"], sample.posted["id"]][-20:]
    customer.document, customer.updated_at = json.dumps(document), now
    shared = {"bucket": bucket, "customer": name, "seq": document["seq"], "decided_at": now, "ruleset": "0" * 64}
    session.add(_history(sample, shared))
    session.add(_decision(sample, shared))
    cursor.next_offset += 1
    if every_third:
        cursor.outbox_seq += 1
        session.add(OutboxRow(partition=PARTITION, seq=cursor.outbox_seq, topic="povod.dispatch", key=name, value=sample.value.decode()))


def _history(sample: Sample, shared: dict[str, Any]) -> HistoryRow:
    return HistoryRow(
        **shared, kind="event", input_id=sample.posted["id"], source="bench", type="cart.updated", payload=sample.value.decode()
    )


def _decision(sample: Sample, shared: dict[str, Any]) -> DecisionRow:
    return DecisionRow(
        **shared,
        n=0,
        journey="journey-00",
        key=sample.posted["id"],
        step="steps/0",
        input_id=sample.posted["id"],
        verdict="sent",
        reason="ok",
        channel="email",
        message_id=sample.posted["id"],
        detail=DETAIL,
    )


async def run(url: str, seconds: float) -> dict[str, float]:
    """Handle events for that long; return how many, and the time it took."""
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:", 1))
    sessions = async_sessionmaker(engine)
    first = time.time_ns() // 1_000  # every run has customers of its own, as every round of Povod has
    async with sessions.begin() as session:
        await session.merge(
            CursorRow(topic=TOPIC, partition=PARTITION, epoch=1, owner="orm", next_offset=0, outbox_seq=first, frontier_at=0)
        )
    events = [each._replace(key=f"{first}-{n % 200}".encode()) for n, each in enumerate(samples(EVENTS))]
    began, count = time.monotonic(), 0
    while time.monotonic() < began + seconds:
        async with sessions.begin() as session:
            await handle(session, events[count % EVENTS], every_third=count % 3 == 0)
        count += 1
    took = time.monotonic() - began
    await engine.dispose()
    return {"events": count, "seconds": took}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(sys.argv[1], float(sys.argv[2])))))
