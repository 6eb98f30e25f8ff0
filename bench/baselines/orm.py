"""One ORM transaction an event: what rules would be if each event were a unit of work of SQLAlchemy's asynchronous session.

The same events lead to the same rows as Povod's (customer document, history, decisions, outbox, cursor), read by primary key, flushed
and committed one event at a time. It is spared Kafka, decoding, deciding (done before the clock starts) and the consent ledger.
`python -m bench.baselines.orm URL SECONDS`.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import uvloop
from sqlalchemy import BigInteger
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bench.workload import records, write_twenty_journeys
from services.contracts.codec import decode_event
from services.contracts.ids import CustomerId
from services.contracts.moments import to_micros
from services.rules import store
from services.rules.core.document import CustomerDocument
from services.rules.core.ruleset import Ruleset
from services.rules.intake import Accepted
from services.rules.loader.loading import load_directory
from services.rules.turnover import Turnover
from services.runtime.eventlog.port import Record

TOPIC, PARTITION = "povod.events", 0
BLOCKS, CUSTOMERS = 50, 20
"""Customers come in blocks, so that however far it gets, registrations have their share."""


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


class Unit(NamedTuple):
    """What one event leads to."""

    customer: store.CustomerRow
    history: list[store.HistoryRow]
    decisions: list[store.DecisionRow]
    outbox: list[store.OutboxRow]


def units(prefix: str) -> Iterator[Unit]:
    """Decide the events of the workload, one by one, and give the rows of each."""
    folder = Path(tempfile.mkdtemp(prefix="povod-bench-orm-"))
    ruleset = load_directory(write_twenty_journeys(folder / "rules"), folder, lenient_templates=True).ruleset
    for block in range(BLOCKS):
        documents: dict[CustomerId, CustomerDocument] = {}
        for _, value in records(f"{prefix}-{block}", CUSTOMERS, seed=block):
            yield _decide(ruleset, documents, value)


def _decide(ruleset: Ruleset, documents: dict[CustomerId, CustomerDocument], value: bytes) -> Unit:
    event, now = decode_event(value), datetime.now(UTC)
    known = {event.subject: documents[event.subject]} if event.subject in documents else {}
    turnover = Turnover(ruleset, now, 0, known)
    turnover.take(Accepted(Record(TOPIC, PARTITION, 0, None, value, (), now), event, value.decode()))
    ((documents[event.subject], row),) = turnover.changed()
    return Unit(row, turnover.history, turnover.decisions, turnover.outbox)


async def handle(session: AsyncSession, unit: Unit, ruleset: str) -> None:
    """Read and write one event's rows."""
    cursor = await session.get_one(CursorRow, (TOPIC, PARTITION))
    row = unit.customer
    customer = await session.get(CustomerRow, (row.bucket, row.customer))
    if customer is None:
        session.add(CustomerRow(**row._asdict()))
    else:
        customer.document, customer.next_due_at, customer.updated_at = row.document, row.next_due_at, row.updated_at
    for history in unit.history:
        session.add(HistoryRow(**history._asdict(), decided_at=row.updated_at, ruleset=ruleset))
    for decision in unit.decisions:
        session.add(DecisionRow(**decision._asdict(), decided_at=row.updated_at, ruleset=ruleset))
    cursor.next_offset += 1
    for command in unit.outbox:
        cursor.outbox_seq += 1
        session.add(OutboxRow(**{**command._asdict(), "partition": PARTITION, "seq": cursor.outbox_seq}))


async def run(url: str, seconds: float) -> dict[str, float]:
    """Handle events for that long; return how many, and the time it took."""
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:", 1))
    sessions = async_sessionmaker(engine)
    first = to_micros(datetime.now(UTC))  # every run has customers of its own, as every round of Povod has
    async with sessions.begin() as session:
        await session.merge(
            CursorRow(topic=TOPIC, partition=PARTITION, epoch=1, owner="orm", next_offset=0, outbox_seq=first, frontier_at=0)
        )
    waiting = list(units(str(first)))
    began, count = time.monotonic(), 0
    while time.monotonic() < began + seconds and count < len(waiting):
        async with sessions.begin() as session:
            await handle(session, waiting[count], "0" * 64)
        count += 1
    took = time.monotonic() - began
    await engine.dispose()
    return {"events": count, "seconds": took}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(sys.argv[1], float(sys.argv[2])))))
