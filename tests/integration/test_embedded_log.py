"""What is true of the embedded log only: its lock, its file, its one owner, its watchers."""

import asyncio
import os
import signal
import sqlite3
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from services.contracts.errors import Fatal, LogUnavailable
from services.runtime.clock import SystemClock
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.eventlog.embedded_watch import WatchedEventLog
from services.runtime.eventlog.port import OutgoingRecord, TopicPartition
from tests.laws.log_readers import SHORT, Starts, drain, owned, record, started, values

_APPENDER = """
import asyncio, sys
from pathlib import Path
from services.runtime.clock import SystemClock
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.eventlog.port import OutgoingRecord

async def main() -> None:
    log = EmbeddedEventLog(Path(sys.argv[1]), {"topic": 4}, SystemClock())
    await log.start()
    async def append(key: int) -> None:
        for n in range(1_000_000):
            await log.append("topic", [OutgoingRecord(b"%d" % key, b"%d:%d" % (key, n))])
            print(f"{key}:{n}", flush=True)
    await asyncio.gather(*(append(key) for key in range(8)))

asyncio.run(main())
"""


async def test_what_a_killed_process_acknowledged_is_there(tmp_path: Path, group: str) -> None:
    """After SIGKILL in the middle of appending, the file opens by itself and holds every acknowledged record, in order."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _APPENDER, str(tmp_path / "log.db"), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    acknowledged = [(await process.stdout.readline()).decode().strip() for _ in range(500)]
    process.send_signal(signal.SIGKILL)
    acknowledged += (await process.stdout.read()).decode().split("\n")[:-1]
    await process.wait()
    log = EmbeddedEventLog(tmp_path / "log.db", {}, SystemClock())
    await log.start()
    stored = sum([(await log.bounds(TopicPartition("topic", p)))[1] for p in range(4)])
    found = values(await drain(await started(log, group, "topic"), stored))
    await log.close()
    assert set(acknowledged) <= set(found)
    for key in range(8):
        mine = [int(value.partition(":")[2]) for value in found if value.startswith(f"{key}:")]
        assert mine == list(range(len(mine)))


async def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    """A data folder has one process at a time; the second is told which file says so and what to do."""
    first, second = (EmbeddedEventLog(tmp_path / "log.db", {"topic": 1}, SystemClock()) for _ in range(2))
    await first.start()
    with pytest.raises(Fatal, match=r"log\.db\.lock is locked.*--data"):
        await second.start()
    await second.close()
    await first.append("topic", [record("a", "still works")])
    await first.close()
    await second_start(tmp_path)


async def second_start(folder: Path) -> None:
    """Check that the lock went with its owner."""
    log = EmbeddedEventLog(folder / "log.db", {}, SystemClock())
    await log.start()
    assert await log.bounds(TopicPartition("topic", 0)) == (0, 1)
    await log.close()


async def test_the_newest_reader_of_a_group_owns_everything(tmp_path: Path, group: str) -> None:
    """A newer reader takes all partitions and the older is revoked; when the newer leaves, the older owns them again."""
    log = EmbeddedEventLog(tmp_path / "log.db", {"topic": 2}, SystemClock())
    await log.start()
    older_listener, newer_listener = Starts(), Starts()
    older = await started(log, group, "topic", older_listener)
    await owned(older, older_listener, 2)
    newer = await started(log, group, "topic", newer_listener)
    await log.append("topic", [OutgoingRecord(b"a", b"1", (), 0)])
    assert values(await drain(newer, 1)) == ["1"]
    assert await older.poll(max_records=1, timeout=SHORT) == {}
    assert len(older_listener.revoked) == 2
    await newer.close()
    assert values(await drain(older, 1)) == ["1"]
    assert len(older_listener.assigned) == 4
    await log.close()


async def test_a_trim_outlives_a_restart(tmp_path: Path) -> None:
    """Offsets never begin again: not even when everything was trimmed and the file was opened anew."""
    log = EmbeddedEventLog(tmp_path / "log.db", {"topic": 1}, SystemClock())
    await log.start()
    await log.append("topic", [record("a", str(i)) for i in range(5)])
    await log.trim(TopicPartition("topic", 0), 99)
    await log.close()
    log = EmbeddedEventLog(tmp_path / "log.db", {}, SystemClock())
    await log.start()
    assert await log.bounds(TopicPartition("topic", 0)) == (5, 5)
    await log.append("topic", [record("a", "5")])
    assert await log.bounds(TopicPartition("topic", 0)) == (5, 6)
    await log.close()


async def test_concurrent_appends_share_a_transaction(tmp_path: Path) -> None:
    """Two hundred appends made at once cost a few commits, not two hundred: the file changed only so often."""
    log = EmbeddedEventLog(tmp_path / "log.db", {"topic": 1}, SystemClock(), linger=timedelta(milliseconds=20))
    await log.start()
    await asyncio.gather(*(log.append("topic", [record("a", str(i))]) for i in range(200)))
    await log.close()
    times = sqlite3.connect(tmp_path / "log.db")
    (moments,) = times.execute("SELECT count(DISTINCT appended_at) FROM records").fetchone()
    times.close()
    assert moments <= 3


async def test_a_full_disk_is_unavailable_and_harmless(tmp_path: Path) -> None:
    """When the file can't grow, appends are `LogUnavailable` and the log unhealthy; with room again both are well, nothing half stored."""
    log = EmbeddedEventLog(tmp_path / "log.db", {"topic": 1}, SystemClock())
    await log.start()
    await log.append("topic", [record("a", "before")])
    pages = log._connections[0].execute("PRAGMA page_count").fetchone()[0]
    log._connections[0].execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(LogUnavailable, match="full"):
        await log.append("topic", [OutgoingRecord(b"a", b"x" * 100_000)] * 3)
    assert not await log.is_healthy()
    log._connections[0].execute("PRAGMA max_page_count=1000000")
    await log.append("topic", [record("a", "after")])
    assert await log.is_healthy()
    assert await log.bounds(TopicPartition("topic", 0)) == (0, 2)
    await log.close()


@pytest.mark.parametrize("content", [b"this is no database, but a letter" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
async def test_a_damaged_file_is_fatal(tmp_path: Path, content: bytes) -> None:
    """A file that is no log is an error for a person, not one of SQLite's."""
    (tmp_path / "log.db").write_bytes(content)
    log = EmbeddedEventLog(tmp_path / "log.db", {"topic": 1}, SystemClock())
    with pytest.raises((Fatal, LogUnavailable)):
        await log.start()
    await log.close()


@pytest.mark.skipif(os.name == "nt", reason="a folder of that name can't be opened as a file anywhere, but the error differs")
async def test_a_folder_in_the_way_is_an_error_of_ours(tmp_path: Path) -> None:
    """A path that can't be opened is `LogUnavailable`."""
    (tmp_path / "log.db").mkdir()
    log = EmbeddedEventLog(tmp_path / "log.db", {"topic": 1}, SystemClock())
    with pytest.raises(LogUnavailable):
        await log.start()
    await log.close()


async def test_a_watcher_sees_what_the_owner_writes(tmp_path: Path, group: str) -> None:
    """Another process can look into the log while it is owned: ends, records, also those that come later; it can't write."""
    owner = EmbeddedEventLog(tmp_path / "log.db", {"topic": 1}, SystemClock())
    await owner.start()
    await owner.append("topic", [record("a", "1")])
    watcher = WatchedEventLog(tmp_path / "log.db", SystemClock())
    await watcher.start()
    assert await watcher.partitions("topic") == 1
    assert await watcher.bounds(TopicPartition("topic", 0)) == (0, 1)
    reader = await started(watcher, group, "topic")
    assert values(await drain(reader, 1)) == ["1"]
    await owner.append("topic", [record("a", "2")])
    assert await watcher.bounds(TopicPartition("topic", 0)) == (0, 2)
    assert values(await drain(reader, 1)) == ["2"]
    with pytest.raises(LogUnavailable, match="reading only"):
        await watcher.append("topic", [record("a", "3")])
    await watcher.close()
    await owner.close()


async def test_there_is_nothing_to_watch_before_the_first_start(tmp_path: Path) -> None:
    """Watching a log that was never made is an error that says what to do."""
    with pytest.raises(Fatal, match="povod serve"):
        await WatchedEventLog(tmp_path / "log.db", SystemClock()).start()


async def test_an_idle_reader_does_not_spin(tmp_path: Path, group: str) -> None:
    """Waiting costs next to no processor time."""
    log = EmbeddedEventLog(tmp_path / "log.db", {"topic": 8}, SystemClock())
    await log.start()
    listener = Starts()
    reader = await started(log, group, "topic", listener)
    await owned(reader, listener, 8)
    begun = os.times()
    await reader.poll(max_records=1, timeout=timedelta(seconds=1))
    ended = os.times()
    assert (ended.user + ended.system) - (begun.user + begun.system) < 0.2
    await log.close()
