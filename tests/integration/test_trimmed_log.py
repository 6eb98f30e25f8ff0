"""A log whose beginning has moved: where nobody ever read it, reading begins there; where somebody stands before it, records are lost."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.contracts.errors import LogTruncated
from services.dispatch.inbox import Inbox
from services.runtime import cursors
from services.runtime.database import Database
from services.runtime.eventlog.port import OutgoingRecord, TopicPartition
from tests.builders import NOON, make_event
from tests.dispatch_desk import LIMIT
from tests.rules_desk import DISPATCH, EVENTS, PARTITIONS, Desk, opened_desk

HELD = [TopicPartition(EVENTS, number) for number in range(PARTITIONS)]
SECOND = timedelta(seconds=1)


@pytest.fixture
async def desk(tmp_path: Path, database: Database) -> AsyncIterator[Desk]:
    """Return a desk on each database, whose log holds ten events of one customer."""
    async with opened_desk(tmp_path, database, NOON) as found:
        await found.append(make_event("page.viewed", id=f"v{n}", at=NOON + n * SECOND) for n in range(10))
        yield found


async def trimmed(desk: Desk, before: int) -> None:
    """Delete the records below an offset of every partition."""
    for partition in HELD:
        await desk.log.trim(partition, before)


async def test_a_trimmed_log_that_nobody_read_is_read_from_its_beginning(desk: Desk) -> None:
    """At first start the cursors begin where the log does."""
    await trimmed(desk, 4)
    await desk.work_off()
    assert [row.input_id for row in await desk.history()] == [f"v{n}" for n in range(4, 10)]


async def test_records_lost_before_the_first_was_decided_stop_the_service(desk: Desk) -> None:
    """Whoever stands at 0, having taken the partition, and finds the log beginning later, has lost records: never skipped."""
    async with desk.database.transaction() as connection:
        for partition in HELD:
            assert (await cursors.acquire(connection, partition, "an owner that read nothing")).next_offset == 0
    await trimmed(desk, 4)
    with pytest.raises(LogTruncated, match="we stand at 0"):
        await asyncio.wait_for(desk.service().run(asyncio.Event()), 30)
    assert await desk.history() == []


async def test_the_inbox_begins_where_a_trimmed_topic_does(desk: Desk) -> None:
    """Dispatch reads a topic whose first commands are gone from its first record on."""
    partition = TopicPartition(DISPATCH, 0)
    await desk.log.append(DISPATCH, [OutgoingRecord(b"ann", b"{}", partition=0) for _ in range(3)])
    await desk.log.trim(partition, 2)
    inbox = Inbox(desk.log, desk.database, desk.clock, "a worker", lambda: None, LIMIT)
    assert await inbox.on_assigned([partition]) == {partition: 2}
    assert await inbox.on_assigned([partition]) == {partition: 2}
