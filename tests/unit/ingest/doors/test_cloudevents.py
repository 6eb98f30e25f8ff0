"""The CloudEvents door, with requests as cloudevents 2.2.0 (PyPI) and 10.0.0 (npm) send them."""

import json
from typing import Any

import pytest

from services.contracts.incoming import Unreadable
from services.ingest.doors.cloudevents import CloudEventsDoor, handshake
from services.ingest.doors.port import Posted
from tests.door_requests import item_of, judged, posted, refusal_of

DOOR = CloudEventsDoor()
PYTHON_BINARY = {
    "ce-id": "a1",
    "ce-type": "product.added",
    "ce-source": "/shop/%D0%BA%D0%BE%D1%80%D0%B7%D0%B8%D0%BD%D0%B0",
    "ce-subject": "u1",
    "ce-specversion": "1.0",
    "ce-time": "2026-11-22T10:00:00Z",
    "content-type": "application/json",
    "ce-myext": "x%20y%20%22q%22%20%25",
}
EVENT = {"id": "a1", "source": "/s", "type": "product.added", "specversion": "1.0", "subject": "u1"}


def _binary(headers: dict[str, str], body: bytes = b"") -> Posted:
    return posted("/cloudevents", body, PYTHON_BINARY | headers)


def _structured(event: Any, media_type: str = "application/cloudevents+json") -> Posted:
    return posted("/cloudevents", event, {"content-type": media_type})


def test_binary_attributes_are_headers() -> None:
    """What the Python SDK sends in binary mode is read with its escapes undone; other attributes are kept in the context."""
    item = item_of(DOOR, _binary({}, b'{"product_id": "p1", "name": "\\u0447\\u0430\\u0439"}'))
    assert item == {
        "type": "product.added",
        "customer": "u1",
        "id": "a1",
        "time": "2026-11-22T10:00:00Z",
        "source": "/shop/корзина",
        "data": {"product_id": "p1", "name": "чай", "context": {"extensions": {"myext": 'x y "q" %'}}},
    }


@pytest.mark.parametrize("label", ["application/x-www-form-urlencoded", "", "text/plain; charset=utf-8", "application/vnd.shop+json"])
def test_binary_data_under_another_label(label: str) -> None:
    """JSON is read whatever an HTTP client wrote on it of its own accord: urllib and curl say it is a form."""
    item = item_of(DOOR, _binary({"content-type": label}, b'{"product_id": "p1"}'))
    assert item["data"]["product_id"] == "p1"


def test_a_header_in_quotes() -> None:
    """An attribute in double quotes is read without them and without their escapes."""
    item = item_of(DOOR, _binary({"ce-subject": '"u \\"1\\""'}))
    assert item["customer"] == 'u "1"'


def test_structured_as_npm_sends_it() -> None:
    """A structured event, with the charset that the JavaScript SDK adds, is read from the body alone."""
    event = EVENT | {"time": "2026-11-22T10:00:00.000Z", "data": {"product_id": "p1"}, "myext": "x y"}
    request = _structured(event, "application/cloudevents+json; charset=utf-8")
    item = item_of(DOOR, request)
    assert item["data"] == {"product_id": "p1", "context": {"extensions": {"myext": "x y"}}}
    assert item["time"] == "2026-11-22T10:00:00.000Z"


def test_extensions_that_mean_something_here() -> None:
    """The extensions `traceparent`, `anonymousid` and `historical` are an event's own fields."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    item = item_of(DOOR, _binary({"ce-traceparent": trace, "ce-anonymousid": "v1", "ce-historical": "true"}))
    assert (item["traceparent"], item["anonymous"], item["historical"]) == (trace, "v1", True)


def test_a_context_is_kept_beside_extensions() -> None:
    """Extensions are added to the context that the data has already."""
    item = item_of(DOOR, _structured(EVENT | {"data": {"context": {"locale": "ru"}}, "myext": 5}))
    assert item["data"] == {"context": {"locale": "ru", "extensions": {"myext": 5}}}


def test_a_batch_has_a_result_each() -> None:
    """In a batch a bad event leaves the good ones alone, and 200 says what became of each."""
    request = _structured([EVENT, EVENT | {"specversion": "0.3"}, 5, EVENT | {"id": "a2"}], "application/cloudevents-batch+json")
    judgement = judged(DOOR, request)
    assert [(result.status, result.code) for result in judgement.results] == [
        ("accepted", None),
        ("rejected", "unsupported_specversion"),
        ("rejected", "not_an_object"),
        ("accepted", None),
    ]
    answer = DOOR.accept(request, judgement)
    assert (answer.status, json.loads(answer.body)["rejected"]) == (200, 2)


REJECTED: dict[str, dict[str, Any]] = {
    "missing_id": {"id": None},
    "missing_source": {"source": ""},
    "missing_type": {"type": None},
    "missing_customer": {"subject": None},
    "unsupported_specversion": {"specversion": "2.0"},
    "unsupported_data": {"data_base64": "AQI=", "datacontenttype": "application/octet-stream"},
    "invalid_extension": {"My_Ext": 1},
    "invalid_data": {"data": [1]},
    "naive_time": {"time": "2026-11-22T10:00:00"},
}


@pytest.mark.parametrize("code", REJECTED)
def test_what_is_no_event_is_rejected(code: str) -> None:
    """An event that breaks a rule of CloudEvents, or can't be an event of ours, is rejected with a code; alone, with 400."""
    request = _structured(EVENT | REJECTED[code])
    judgement = judged(DOOR, request)
    assert [result.code for result in judgement.results] == [code]
    answer = DOOR.accept(request, judgement)
    assert (answer.status, json.loads(answer.body)["code"]) == (400, code)


def test_binary_data_that_is_no_json() -> None:
    """Binary data of another type is refused with a sentence, and so is broken JSON."""
    (item,) = DOOR.read(_binary({"content-type": "application/octet-stream"}, b"\x01\x02")).items
    assert isinstance(item, Unreadable)
    assert item.error.code == "unsupported_data"
    (item,) = DOOR.read(_binary({}, b"{")).items
    assert isinstance(item, Unreadable)
    assert item.error.code == "invalid_json"


def test_what_is_no_cloudevent_at_all() -> None:
    """Without `ce-specversion` only the two media types are taken, in JSON."""
    assert refusal_of(DOOR, _structured(EVENT, "application/json")) == "unsupported_media_type"
    assert refusal_of(DOOR, posted("/cloudevents", b"{}")) == "unsupported_media_type"
    assert refusal_of(DOOR, _structured(EVENT, "application/cloudevents+avro")) == "unsupported_media_type"
    assert refusal_of(DOOR, _structured(EVENT, "application/cloudevents-batch+json")) == "invalid_json"
    assert refusal_of(DOOR, _structured([], "application/cloudevents-batch+json")) == "empty_batch"
    assert refusal_of(DOOR, _structured(b"{")) == "invalid_json"


def test_the_webhook_handshake() -> None:
    """Who asks whether it may post is answered with its own name and a rate; any other OPTIONS is not our business."""
    asked = {b"webhook-request-origin": b"eventemitter.example.com"}
    assert handshake(asked, 120) == (
        (b"webhook-allowed-origin", b"eventemitter.example.com"),
        (b"webhook-allowed-rate", b"120"),
        (b"allow", b"OPTIONS, POST"),
    )
    assert handshake(asked, 0)[1] == (b"webhook-allowed-rate", b"*")
    assert handshake({b"origin": b"https://shop.example"}, 120) == ()
