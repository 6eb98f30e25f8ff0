"""Records of other people's producers: CloudEvents in both modes are events, all else has a reason of its own."""

import json
from datetime import timedelta
from typing import Any

import pytest

from services.contracts.codec import decode_event, encode_event
from services.contracts.partitioning import partition_of
from services.rules.intake import Accepted, Misplaced, Refused, Sorted, sort_record
from services.runtime.eventlog.port import Record
from tests.builders import NOON, make_event

PARTITIONS = 8
MINE = partition_of("42", PARTITIONS)
GOOD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "a1",
    "type": "order.completed",
    "source": "/till",
    "subject": "42",
    "data": {"total": 5},
}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BINARY = {"ce_specversion": b"1.0", "ce_id": b"a1", "ce_type": b"order.completed", "ce_source": b"/till", "ce_subject": b"42"}


def structured(partition: int = MINE, /, **changes: Any) -> Sorted:
    """Return what a structured event with these changes is taken for; None takes an attribute away."""
    event = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    headers = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
    return sort_record(Record("povod.events", partition, 5, b"42", json.dumps(event).encode(), headers, NOON), PARTITIONS)


def binary(value: bytes = b'{"total":5}', **changes: bytes) -> Sorted:
    """Return what a binary event with these headers more is taken for."""
    headers = tuple({"content-type": b"application/json", **BINARY, **changes}.items())
    return sort_record(Record("povod.events", MINE, 5, b"42", value, headers, NOON), PARTITIONS)


@pytest.mark.parametrize("found", [structured(), binary()], ids=["structured", "binary"])
def test_what_the_standard_leaves_open_is_filled_in(found: Sorted) -> None:
    """Without times the event happened when it was appended; history keeps it as our own are."""
    expected = make_event("order.completed", {"total": 5}, id="a1", at=NOON, received_at=NOON, customer="42", source="/till")
    assert isinstance(found, Accepted)
    assert found.event == expected
    assert decode_event(found.payload.encode()) == expected


def test_attributes_are_taken_in_both_modes() -> None:
    """Time with its offset, history, the visitor's id and the trace; unknown extensions are passed over."""
    more = {"time": "2024-05-13T10:00:00+03:00", "anonymousid": "v1", "traceparent": TRACE, "comexampleother": "x"}
    first = structured(**more, historical=True)
    second = binary(**{f"ce_{name}": value.encode() for name, value in more.items()}, ce_historical=b"true")
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert first.event == second.event
    event = first.event
    assert (event.time.isoformat(), event.historical) == ("2024-05-13T07:00:00+00:00", True)
    assert (event.anonymousid, event.traceparent) == ("v1", TRACE)


def test_a_trace_may_stand_in_the_header() -> None:
    """The binding's distributed tracing uses the plain header too; what is no trace is left out."""
    found, broken = binary(traceparent=TRACE.encode()), binary(ce_traceparent=b"00-zz", traceparent=b"\xff")
    assert isinstance(found, Accepted)
    assert isinstance(broken, Accepted)
    assert (found.event.traceparent, broken.event.traceparent) == (TRACE, None)


def test_data_may_be_missing() -> None:
    """An event may be all in its type."""
    found = (structured(data=None), binary(b""), binary(b"", **{"content-type": b"application/vnd.shop+json; charset=utf-8"}))
    assert [each.event.data for each in found if isinstance(each, Accepted)] == [{}, {}, {}]


def test_a_misplaced_event_goes_on_as_one_of_ours() -> None:
    """What is forwarded to the right partition is whole, with the times of its first record."""
    found = structured((MINE + 1) % PARTITIONS)
    assert isinstance(found, Misplaced)
    assert decode_event(found.payload.encode()).receivedtime == NOON


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (structured(specversion="0.3"), "unsupported_version"),
        (structured(specversion=None), "undecodable_event"),
        (structured(id=None), "missing_id"),
        (structured(id=7), "missing_id"),
        (structured(type=""), "missing_type"),
        (structured(source=None), "missing_source"),
        (structured(subject=None), "missing_subject"),
        (structured(subject="undefined"), "placeholder_id"),
        (structured(subject="x" * 256), "bad_length"),
        (structured(id="a\x00"), "nul_character"),
        (structured(time="yesterday"), "invalid_time"),
        (structured(time="2026-03-01T10:00:00"), "naive_time"),
        (structured(data=[1]), "invalid_data"),
        (structured(data=None, data_base64="aGk="), "unsupported_content"),
        (structured(datacontenttype="text/xml", data={}), "unsupported_content"),
        (binary(b"<order/>", **{"content-type": b"application/xml"}), "unsupported_content"),
        (binary(b"no json"), "invalid_data"),
        (binary(b"[1]"), "invalid_data"),
        (binary(b"[" * 100_000), "invalid_data"),
        (binary(ce_subject=b"\xff"), "not_utf8"),
        (binary(ce_id=b"a\x00"), "nul_character"),
        (binary(ce_subject=b""), "missing_subject"),
        (binary(ce_time=b"soon"), "invalid_time"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_ones_are_refused_with_a_reason(found: Sorted, reason: str) -> None:
    """Each mistake of a producer has a stable code for the dead letter's header."""
    assert isinstance(found, Refused)
    assert found.reason == reason


def test_a_time_ahead_of_the_record_is_moved_back() -> None:
    """A producer whose clock runs years ahead must not make its event the customer's newest until then; five minutes are let pass."""
    wild = make_event(id="wild", at=NOON + timedelta(days=900), received_at=NOON + timedelta(days=900), customer="42")
    found = sort_record(Record("povod.events", MINE, 5, b"42", encode_event(wild), (), NOON), PARTITIONS)
    assert isinstance(found, Accepted)
    assert (found.event.time, found.event.receivedtime) == (NOON, NOON)
    assert decode_event(found.payload.encode()) == found.event
    near = make_event(at=NOON + timedelta(minutes=4), received_at=NOON + timedelta(minutes=4), customer="42")
    kept = sort_record(Record("povod.events", MINE, 5, b"42", encode_event(near), (), NOON), PARTITIONS)
    assert isinstance(kept, Accepted)
    assert kept.event == near
