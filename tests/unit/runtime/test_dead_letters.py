"""The limit on dead letters: a policy apart from its running state, which takes now."""

from datetime import UTC, datetime, timedelta

import pytest

from services.contracts.errors import DeadLetterLimitReached, Fatal
from services.runtime.dead_letters import DeadLetterCount, DeadLetterLimit

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def count() -> DeadLetterCount:
    """Return a count that allows three in five minutes."""
    return DeadLetterCount(DeadLetterLimit(most=3, within=timedelta(minutes=5)))


def test_the_limit_itself_is_allowed(count: DeadLetterCount) -> None:
    """Three of three are admitted, the fourth is not."""
    count.admit(3, NOON)
    count.note(3, NOON)
    with pytest.raises(DeadLetterLimitReached, match="4 records would be dead letters within 0:05:00, and 3 are allowed"):
        count.admit(1, NOON)


def test_too_many_at_once_are_refused(count: DeadLetterCount) -> None:
    """A batch that alone passes the limit is refused, and counts for nothing."""
    with pytest.raises(DeadLetterLimitReached):
        count.admit(4, NOON)
    count.admit(3, NOON)


def test_old_ones_are_forgotten(count: DeadLetterCount) -> None:
    """What lies the whole window back no longer counts; a microsecond less still does."""
    count.note(2, NOON)
    count.note(1, NOON + timedelta(minutes=1))
    with pytest.raises(DeadLetterLimitReached):
        count.admit(1, NOON + timedelta(minutes=5) - timedelta(microseconds=1))
    count.admit(2, NOON + timedelta(minutes=5))
    with pytest.raises(DeadLetterLimitReached):
        count.admit(3, NOON + timedelta(minutes=5))


def test_the_limit_is_fatal() -> None:
    """A person must act: nothing that handles retries or rejections catches it."""
    assert issubclass(DeadLetterLimitReached, Fatal)
