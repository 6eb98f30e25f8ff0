"""What a record of the events topic is taken for."""

import pytest

from services.contracts.codec import encode_event, key_of
from services.contracts.partitioning import partition_of
from services.rules.intake import Accepted, Misplaced, Refused, sort_record
from services.runtime.eventlog.port import Record
from tests.builders import NOON, make_event

PARTITIONS = 8
MINE = partition_of("c-1", PARTITIONS)


def record(value: bytes, partition: int = MINE, key: bytes | None = b"c-1") -> Record:
    """Return a record."""
    return Record("povod.events", partition, 5, key, value, (), NOON)


def test_an_event_of_this_partition_is_accepted() -> None:
    """An event keeps its bytes as history's payload."""
    event = make_event()
    assert sort_record(record(encode_event(event)), PARTITIONS) == Accepted(
        record(encode_event(event)), event, encode_event(event).decode()
    )


@pytest.mark.parametrize("kind", ["message.failed", "povod.consent"])
def test_our_own_types_are_accepted(kind: str) -> None:
    """What only Povod's services may publish comes this way too."""
    assert isinstance(sort_record(record(encode_event(make_event(kind))), PARTITIONS), Accepted)


def test_the_subject_says_where_it_belongs_whatever_the_key() -> None:
    """A record without a key, or with another one, is decided where its customer lives, and forwarded from elsewhere."""
    value = encode_event(make_event())
    assert isinstance(sort_record(record(value, key=None), PARTITIONS), Accepted)
    assert isinstance(sort_record(record(value, key=key_of("another")), PARTITIONS), Accepted)
    assert isinstance(sort_record(record(value, (MINE + 1) % PARTITIONS), PARTITIONS), Misplaced)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "undecodable_event"),
        (b"null", "undecodable_event"),
        (b"[" * 100_000, "undecodable_event"),
        (encode_event(make_event()).replace(b"product.added", b"\xff\xfe"), "undecodable_event"),
        (encode_event(make_event()).replace(b"+00:00", b"").replace(b'Z"', b'"'), "naive_time"),
        (encode_event(make_event(customer="x" * 256)), "bad_length"),
        (encode_event(make_event(customer="")), "bad_length"),
        (encode_event(make_event(id="nul\x00")), "nul_character"),
        (encode_event(make_event(data={"note": "x" * 1_000_000})), "record_too_large"),
        (encode_event(make_event()).replace(b'"shop"', b'"\\ud800"'), "undecodable_event"),
    ],
    ids=["empty", "null", "deep", "not utf-8", "naive", "long customer", "no customer", "nul", "large", "surrogate"],
)
def test_hostile_records_are_refused_with_a_reason(value: bytes, reason: str) -> None:
    """Whatever any producer may have written ends in a refusal with a stable reason, never in an exception."""
    found = sort_record(record(value), PARTITIONS)
    assert isinstance(found, Refused)
    assert found.reason == reason
