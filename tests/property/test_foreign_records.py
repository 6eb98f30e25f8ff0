"""Whatever a stranger writes to the events topic is an event or has a reason: no bytes, no headers, no JSON end in an exception."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.contracts.codec import decode_event
from services.rules.intake import Refused, sort_record
from services.runtime.eventlog.port import Record
from tests.builders import NOON

NAMES = ("specversion", "id", "type", "source", "subject", "time", "receivedtime", "data", "datacontenttype", "historical", "traceparent")
EXTRA = ("anonymousid", "bot", "via", "data_base64", "originaltime")
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["1.0", "2026-01-01T00:00:00Z", "application/json"])
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=5)
GOOD: dict[str, Any] = {"specversion": "1.0", "id": "a", "type": "t", "source": "s", "subject": "c"}
HEADERS = st.lists(
    st.tuples(st.sampled_from([f"ce_{name}" for name in NAMES] + ["content-type", "traceparent", "x"]), st.binary(max_size=30))
)


def judge(value: bytes, headers: tuple[tuple[str, bytes], ...] = ()) -> None:
    """Check that a record has an answer, and that what was accepted can be read again as the same event."""
    found = sort_record(Record("povod.events", 0, 0, None, value, headers, NOON), 1)
    if isinstance(found, Refused):
        assert found.reason.replace("_", "").isalnum()
        assert found.error
    else:
        assert decode_event(found.payload.encode()) == found.event
        assert 0 < len(found.event.subject) <= 255


@given(st.dictionaries(st.sampled_from(NAMES + EXTRA), VALUES))
def test_structured(changes: dict[str, Any]) -> None:
    """Any JSON in any attribute."""
    judge(json.dumps({**GOOD, **changes}).encode())


@given(st.binary(), HEADERS)
def test_binary(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    """Any bytes with any headers."""
    judge(value, tuple(headers))


@given(HEADERS, VALUES)
def test_binary_that_is_nearly_right(headers: list[tuple[str, bytes]], data: Any) -> None:
    """Headers beside good ones, over any data."""
    good = {f"ce_{name}": str(value).encode() for name, value in GOOD.items()}
    judge(json.dumps(data).encode(), tuple({**good, **dict(headers)}.items()))
