"""New event ids."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.ingest.uuid7 import new_uuid7

AT = datetime(2026, 11, 22, 10, 0, 0, 123_456, tzinfo=UTC)


def test_is_a_uuid7() -> None:
    """Version and variant are those of RFC 9562, and the first 48 bits are the Unix milliseconds."""
    made = UUID(new_uuid7(AT))
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert made.int >> 80 == int(AT.timestamp() * 1_000)


def test_later_ones_sort_behind() -> None:
    """Ids sort by the millisecond in which they were made."""
    made = [new_uuid7(AT + timedelta(milliseconds=i)) for i in range(100)]
    assert made == sorted(made)


def test_no_two_are_equal() -> None:
    """A thousand ids of one millisecond are a thousand ids."""
    assert len({new_uuid7(AT) for _ in range(1_000)}) == 1_000
