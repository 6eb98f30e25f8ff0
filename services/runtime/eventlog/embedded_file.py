"""The SQLite file of the embedded log: plain blocking calls, each made in one of the log's threads.

Raises `sqlite3.Error`; `services.runtime.eventlog.embedded` translates.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import msgspec

from services.contracts.errors import Fatal
from services.contracts.moments import from_micros
from services.runtime.eventlog.port import OutgoingRecord, Record, TopicPartition

Headers = tuple[tuple[str, bytes], ...]
_SCHEMA = """
CREATE TABLE IF NOT EXISTS topics (name TEXT PRIMARY KEY, partitions INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS partitions (
  id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL, first_offset INTEGER NOT NULL, UNIQUE (topic, partition)
);
CREATE TABLE IF NOT EXISTS records (
  place INTEGER PRIMARY KEY, appended_at INTEGER NOT NULL, key BLOB NOT NULL, headers BLOB, value BLOB NOT NULL
);
"""
_STRIDE = 1 << 40
"""`place` is the partition's id times this, plus the offset: the table's own key, so that a record of 1 KB needs no second page."""
_INSERT = "INSERT INTO records VALUES (?, ?, ?, ?, ?)"
_SELECT = "SELECT place, key, value, headers, appended_at FROM records WHERE place >= ? AND place < ? ORDER BY place LIMIT ?"
_TIMES = "SELECT place, appended_at FROM records WHERE place >= ? AND place < ? ORDER BY place"
_DELETE = "DELETE FROM records WHERE place >= ? AND place < ?"
_PARTITIONS = "SELECT topic, partition, id, first_offset FROM partitions ORDER BY topic, partition"
_LAST = "SELECT max(place) FROM records WHERE place >= ? AND place < ?"
_READ_BYTES = 4_194_304
"""A read of one partition ends at the record that passes this, whatever `max_records` says: memory is bounded."""


class Bounds(msgspec.Struct):
    """Where a partition begins and ends; kept in memory by the one process that may write."""

    id: int
    first: int
    end: int


class Append(msgspec.Struct):
    """One partition's share of a group commit: `records` go to `first_offset` and on."""

    partition_id: int
    first_offset: int
    records: Sequence[OutgoingRecord]


def lock(path: Path) -> sqlite3.Connection:
    """Take the lock file beside the log for as long as the connection lives; raises `Fatal` where another process has it.

    A SQLite file in an exclusive transaction: the one lock that every platform has, and that a killed process lets go of.
    """
    held = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        held.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        held.close()
        raise Fatal(f"{path} is locked: another povod process uses this data folder; stop it, or choose another with --data") from error
    return held


def connect(path: Path) -> sqlite3.Connection:
    """Open the log's file, durable: a commit returns after fsync."""
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    for pragma in ("page_size=16384", "journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=4000", "journal_size_limit=67108864"):
        connection.execute(f"PRAGMA {pragma}").close()
    return connection


def prepare(connection: sqlite3.Connection, topics: Mapping[str, int]) -> None:
    """Make what is missing, tables and topics."""
    connection.executescript(_SCHEMA)
    connection.execute("BEGIN IMMEDIATE")
    known = {name for (name,) in connection.execute("SELECT name FROM topics")}
    for name, count in topics.items():
        if name not in known:
            connection.execute("INSERT INTO topics VALUES (?, ?)", (name, count))
            rows = [(name, partition) for partition in range(count)]
            connection.executemany("INSERT INTO partitions (topic, partition, first_offset) VALUES (?, ?, 0)", rows)
    connection.execute("COMMIT")


def look(connection: sqlite3.Connection) -> dict[TopicPartition, Bounds]:
    """Return every partition there is."""
    return {
        TopicPartition(topic, partition): Bounds(number, first, max(first, _end(connection, number)))
        for topic, partition, number, first in connection.execute(_PARTITIONS).fetchall()
    }


def _end(connection: sqlite3.Connection, number: int) -> int:
    (last,) = connection.execute(_LAST, (number * _STRIDE, (number + 1) * _STRIDE)).fetchone()
    return 0 if last is None else last - number * _STRIDE + 1


def write(connection: sqlite3.Connection, appends: Sequence[Append], appended_at: int) -> None:
    """Store all in one transaction: on return they are on the disk, on an error none of them is."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(_INSERT, _rows(appends, appended_at))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _rows(appends: Sequence[Append], appended_at: int) -> Iterator[tuple[int, int, bytes, bytes | None, bytes]]:
    for append in appends:
        for at, record in enumerate(append.records, append.partition_id * _STRIDE + append.first_offset):
            headers = _encode_headers(record.headers) if record.headers else None
            yield at, appended_at, record.key, headers, record.value


def read(connection: sqlite3.Connection, partition: TopicPartition, number: int, span: tuple[int, int], limit: int) -> list[Record]:
    """Return records of one partition, from the first offset of `span` up to the second, at most `limit` and not far over 4 MiB."""
    records: list[Record] = []
    weight = 0
    base = number * _STRIDE
    for at, key, value, headers, appended_at in connection.execute(_SELECT, (base + span[0], base + span[1], limit)):
        decoded = _decode_headers(headers) if headers else ()
        records.append(Record(partition.topic, partition.partition, at - base, key, value, decoded, _moment(appended_at)))
        weight += len(value)
        if weight > _READ_BYTES:
            break
    return records


def trim(connection: sqlite3.Connection, number: int, before: int) -> None:
    """Delete the records of one partition below an offset and remember where it begins now."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE partitions SET first_offset = ? WHERE id = ?", (before, number))
    connection.execute(_DELETE, (number * _STRIDE, number * _STRIDE + before))
    connection.execute("COMMIT")


def first_young(connection: sqlite3.Connection, number: int, span: tuple[int, int], before: int) -> int:
    """Return the first offset of the span whose record was appended at `before` (microseconds) or later, else the span's end."""
    base = number * _STRIDE
    rows = connection.execute(_TIMES, (base + span[0], base + span[1]))
    return next((place - base for place, appended_at in rows if appended_at >= before), span[1])


_moment = lru_cache(maxsize=256)(from_micros)
_headers_decoder = msgspec.msgpack.Decoder(Headers)


@lru_cache(maxsize=256)
def _encode_headers(headers: Headers) -> bytes:
    return msgspec.msgpack.encode(headers)


@lru_cache(maxsize=256)
def _decode_headers(stored: bytes) -> Headers:
    try:
        return _headers_decoder.decode(stored)
    except msgspec.DecodeError as error:
        raise Fatal(f"the log's file is damaged: {error}") from error
