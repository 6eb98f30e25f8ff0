"""Judging a request's events one by one."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from services.contracts.catalogue import Catalogue
from services.contracts.codec import decode_event
from services.contracts.errors import InvalidEvent
from services.contracts.incoming import read_items
from services.contracts.normalise import Reception
from services.ingest.judge import Judge, Judged
from services.ingest.refusals import RequestRefused

PRICE = {"x-povod-activity": True, "type": "object", "properties": {"price": {"type": "number"}}}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DOOR = Reception("shop", trusted=True, received_at=datetime(2026, 11, 22, 12, tzinfo=UTC), new_id=lambda: "new-id")


def _judge(*events: Any, door: Reception = DOOR, max_event: int = 2_000) -> Judged:
    return Judge(Catalogue({"product.added": PRICE}), max_event).judge(read_items(json.dumps(events).encode()), door)


def _event(**fields: Any) -> dict[str, Any]:
    return {"type": "product.added", "customer": "42", "id": "a1"} | fields


def test_a_good_event_becomes_a_record() -> None:
    """An accepted event is a record under the customer's key, in CloudEvents' structured mode."""
    judged = _judge(_event(data={"price": 5}))
    (record,) = judged.records
    assert record.key == b"42"
    assert record.headers == (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
    assert decode_event(record.value).data == {"price": 5}
    assert msgspec.to_builtins(judged.results) == [{"index": 0, "status": "accepted", "id": "a1"}]
    assert judged.rejects == []


def test_traceparent_is_a_header_too() -> None:
    """The trace context stands in the event and in the record's headers."""
    (record,) = _judge(_event(), door=DOOR._replace(traceparent=TRACE)).records
    assert ("traceparent", TRACE.encode()) in record.headers
    assert decode_event(record.value).traceparent == TRACE


def test_bad_events_leave_the_good_ones_alone() -> None:
    """Each event has its own result, in the order of the request; only good ones become records."""
    judged = _judge(_event(), _event(data={"price": "much"}), 5, _event(id="a2"))
    assert [result.status for result in judged.results] == ["accepted", "rejected", "rejected", "accepted"]
    assert [result.index for result in judged.results] == [0, 1, 2, 3]
    assert [decode_event(record.value).id for record in judged.records] == ["a1", "a2"]


def test_a_rejection_says_why() -> None:
    """A rejected event's result has its id, a code, a sentence and a pointer to the field."""
    (result,) = _judge(_event(data={"price": "much"})).results
    assert (result.id, result.code, result.pointer) == ("a1", "schema", "/data/price")
    assert result.message is not None
    assert result.message.startswith("product.added: ")


@pytest.mark.parametrize("shown", [5, None, "a\x07b", ["x"]])
def test_only_a_printable_id_is_shown_again(shown: object) -> None:
    """A rejected event's id is repeated only where it is plain text."""
    (result,) = _judge(_event(id=shown, type="message.sent")).results
    assert (result.status, result.id) == ("rejected", None)


def test_a_rejected_event_is_kept_as_it_came() -> None:
    """The dead letter of a rejected event holds the event, the customer as key, and the reason."""
    events = [_event(type="message.sent"), _event(type="message.sent", data={"x": "\ud83d"}), 5]
    rejects = [_judge(event).rejects[0] for event in events]
    assert [json.loads(reject.value) for reject in rejects] == events
    assert [reject.key for reject in rejects] == [b"42", b"42", b""]
    assert [reject.code for reject in rejects] == ["reserved_type", "reserved_type", "not_an_object"]


def test_a_dead_letter_is_bounded() -> None:
    """Of an event that is far too large only its beginning is kept."""
    judged = _judge(_event(data={"x": "y" * 100_000}))
    assert judged.results[0].code == "event_too_large"
    assert len(judged.rejects[0].value) == 2_000


def test_size_is_that_of_the_encoded_event() -> None:
    """An event is as large as its record's value: at the limit it passes, one byte more is refused."""
    size = len(_judge(_event(data={"x": "y"})).records[0].value)
    assert _judge(_event(data={"x": "y"}), max_event=size).results[0].status == "accepted"
    assert _judge(_event(data={"x": "yy"}), max_event=size).results[0].code == "event_too_large"


def test_a_repeated_id_is_a_duplicate() -> None:
    """The second event of the same source, customer and id is not appended; for another customer or source it is another event."""
    judged = _judge(_event(), _event(), _event(customer="43"), _event(source="pos"))
    assert [result.status for result in judged.results] == ["accepted", "duplicate_in_request", "accepted", "accepted"]
    assert len(judged.records) == 3


def test_a_rejected_event_makes_no_duplicate() -> None:
    """A good event is accepted after a bad one of the same id."""
    judged = _judge(_event(data={"price": "much"}), _event())
    assert [result.status for result in judged.results] == ["rejected", "accepted"]


def test_what_was_changed_is_said() -> None:
    """The result says of a new id, a hashed one and a moved time."""
    (generated,) = _judge(_event(id=None)).results
    (hashed,) = _judge(_event(id="i" * 200)).results
    (clamped,) = _judge(_event(time="2099-01-01T00:00:00Z")).results
    assert msgspec.to_builtins(generated) == {"index": 0, "status": "accepted", "id": "new-id", "generated": True}
    assert hashed.hashed
    assert len(hashed.id or "") == 64
    assert clamped.clamped


def test_nesting_to_the_limit_of_the_parser_is_no_crash() -> None:
    """Whatever depth the parser lets through is refused, by it or by the walk, never a crash; shallow events beside it are judged."""
    judge = Judge(Catalogue({}), 2_000)
    for levels in (*range(100, 1_100), *range(1_100, 40_000, 100)):  # Python 3.11 gives up near 1,000, later ones near 10,000
        body = b'[{"type": "a", "customer": "1", "data": {"x": %s}}, {"type": "b", "customer": "1"}]' % (b"[" * levels + b"]" * levels)
        try:
            items = read_items(body)
        except InvalidEvent:
            break
        deep, shallow = judge.judge(items, DOOR).results
        assert (deep.code, shallow.status) == ("too_deep", "accepted")
    else:
        pytest.fail("the parser lets everything through")
    assert levels > 500


def test_events_are_bounded_together() -> None:
    """What would make more bytes of a request than it may have is refused as a whole, good events and dead letters alike."""
    items = read_items(json.dumps([_event(id=str(number), data={"x": "y" * 500}) for number in range(4)]).encode())
    judge = Judge(Catalogue({}), 2_000)
    size = sum(len(record.value) for record in judge.judge(items, DOOR).records)
    assert len(judge.judge(items, DOOR, size).records) == 4
    with pytest.raises(RequestRefused) as caught:
        judge.judge(items, DOOR, size - 1)
    assert caught.value.code == "payload_too_large"
    with pytest.raises(RequestRefused):
        judge.judge([{"type": "", "data": {"x": "y" * 500}}] * 4, DOOR, 1_000)


def test_another_event_under_the_same_id_is_no_repeat() -> None:
    """Within a request the same again is a duplicate, whatever its time; another type or other data under its id is rejected and kept."""
    again = [_event(time=1_795_341_600), _event(data={"price": 5}), _event(type="page.viewed"), _event(customer="43", data={"price": 5})]
    judged = _judge(_event(), *again)
    told = [result.code or result.status for result in judged.results]
    assert told == ["accepted", "duplicate_in_request", "conflicting_id", "conflicting_id", "accepted"]
    assert [(reject.code, reject.key) for reject in judged.rejects] == [("conflicting_id", b"42")] * 2
    assert judged.results[2].pointer == "/id"
