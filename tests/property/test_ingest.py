"""Whatever is posted: a clear answer for each event, never a crash, and what is accepted can be read by everyone behind us."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from services.contracts.catalogue import load_catalogue
from services.contracts.codec import decode_event, key_of
from services.contracts.errors import InvalidEvent
from services.contracts.incoming import read_items
from services.contracts.normalise import MAX_CUSTOMER, MAX_ID, Reception
from services.ingest.judge import Judge, Judged
from services.ingest.refusals import STATUS

RECEIVED = datetime(2026, 11, 22, 12, tzinfo=UTC)
DOOR = Reception("shop", trusted=True, received_at=RECEIVED, new_id=lambda: "new-id")
JUDGE = Judge(load_catalogue(), 65_536)
TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.integers(-(2**80), 2**80) | st.floats() | TEXTS
VALUES = st.recursive(SCALARS, lambda below: st.lists(below, max_size=4) | st.dictionaries(TEXTS, below, max_size=4), max_leaves=12)
TYPES = st.sampled_from(["product.added", "order.completed", "customer.registered", "consent.given", "message.sent", "a"]) | TEXTS
DATA = st.dictionaries(st.sampled_from(["price", "products", "email", "consent", "channel", "total"]) | TEXTS, VALUES, max_size=5)
EVENTS = st.fixed_dictionaries(
    {"type": TYPES | SCALARS, "customer": TEXTS | SCALARS},
    optional={
        "id": TEXTS | SCALARS,
        "subject": SCALARS,
        "time": SCALARS | st.datetimes().map(str) | st.datetimes(timezones=st.just(UTC)).map(lambda time: time.isoformat()),
        "data": DATA | VALUES,
        "source": SCALARS,
        "historical": st.booleans() | SCALARS,
        "traceparent": SCALARS,
        "other": VALUES,
    },
)


def _judge(body: bytes) -> Judged | None:
    """Judge a request; None where it is refused as a whole, for a reason that is the client's."""
    try:
        items = read_items(body)
    except InvalidEvent as error:
        status = STATUS[error.code]
    else:
        return JUDGE.judge(items, DOOR)
    assert status == 400
    return None


def _check(judged: Judged) -> None:
    """Every event has its result; every accepted one can be decoded, keyed and trusted to obey the rules."""
    accepted = [result for result in judged.results if result.status == "accepted"]
    assert [result.index for result in judged.results] == list(range(len(judged.results)))
    assert len(judged.rejects) == sum(result.status == "rejected" for result in judged.results)
    for result, record in zip(accepted, judged.records, strict=True):
        event = decode_event(record.value)
        assert (event.id, event.receivedtime) == (result.id, RECEIVED)
        assert 0 < len(event.id) <= MAX_ID
        assert 0 < len(event.subject) <= MAX_CUSTOMER
        assert key_of(event.subject) == record.key
        assert event.time <= RECEIVED
        assert event.historical or event.time >= RECEIVED - timedelta(days=30)
        assert not event.type.startswith(("message.", "povod."))
        assert b"\\u0000" not in record.value
    for result in judged.results:
        assert (result.code is None) == (result.status != "rejected")


@given(st.lists(EVENTS, max_size=4))
def test_events_of_every_kind(events: list[dict[str, Any]]) -> None:
    """Events with any value in any field are accepted and readable, or rejected with a code."""
    judged = _judge(json.dumps(events).encode())
    assert judged is not None
    assert len(judged.results) == len(events)
    _check(judged)


@given(VALUES)
@example({"batch": {"a": 1}})
@example([[]])
def test_json_of_every_kind(posted: Any) -> None:
    """Any JSON at all is judged, or refused as a whole."""
    judged = _judge(json.dumps(posted).encode())
    if judged is not None:
        _check(judged)


@given(st.binary(max_size=200))
@example(b'{"type":"a","customer":"\\ud800"}')
@example(b'{"type":"a","customer":"1","time":1e999}')
def test_bytes_of_every_kind(body: bytes) -> None:
    """Any bytes at all are judged, or refused as a whole."""
    judged = _judge(body)
    if judged is not None:
        _check(judged)


@given(EVENTS)
def test_both_paths_agree(event: dict[str, Any]) -> None:
    """An event beside a dirty neighbour, which sends both the lenient way, is judged as it is alone."""
    alone = _judge(json.dumps([event]).encode())
    beside = _judge(json.dumps([event, {"dirty": float("nan")}]).encode())
    assert alone is not None
    assert beside is not None
    (one, *_), (other, *_) = alone.results, beside.results
    assert (one.status, one.id, one.code, one.pointer) == (other.status, other.id, other.code, other.pointer)
    assert alone.records == beside.records
