"""The door of Google Analytics 4's Measurement Protocol."""

import json
from typing import Any

from services.contracts.codec import decode_event
from services.ingest.doors.ga4 import Ga4DebugDoor, Ga4Door
from services.ingest.doors.port import Parcel, Posted
from services.ingest.judge import Judged
from tests.door_requests import item_of, items_of, judged, posted, refusal_of

DOOR = Ga4Door()
DEBUG = Ga4DebugDoor()
QUERY = {"measurement_id": "G-1", "api_secret": "sk_test"}
MICROS = 1_795_341_600_123_456
PURCHASE = {
    "name": "purchase",
    "params": {
        "transaction_id": "T-1",
        "value": 500,
        "currency": "RUB",
        "engagement_time_msec": 100,
        "items": [{"item_id": "p1", "item_name": "чай", "quantity": 2, "price": 250}],
    },
}


def _request(*events: Any, **fields: Any) -> Posted:
    return posted("/mp/collect", {"client_id": "c1", "user_id": "u1", "events": list(events)} | fields, query=QUERY)


def test_an_event() -> None:
    """An event has our name and our fields; `user_id` is the customer, `client_id` the visitor, `api_secret` the key."""
    assert DOOR.read(_request(PURCHASE)).key == "sk_test"
    assert item_of(DOOR, _request(PURCHASE)) == {
        "type": "order.completed",
        "customer": "u1",
        "anonymous": "c1",
        "data": {
            "order_id": "T-1",
            "total": 500,
            "currency": "RUB",
            "products": [{"product_id": "p1", "name": "чай", "quantity": 2, "price": 250}],
        },
    }


def test_the_time_is_exact() -> None:
    """Microseconds, of the event or of the request, as number or text, are the event's time to the last digit."""
    event = PURCHASE | {"timestamp_micros": str(MICROS)}
    for request in (_request(PURCHASE, timestamp_micros=MICROS), _request(event, timestamp_micros=5), _request(event)):
        (record,) = judged(DOOR, request).records
        assert str(decode_event(record.value).time) == "2026-11-22 10:00:00.123456+00:00"
    assert judged(DOOR, _request(PURCHASE, timestamp_micros="soon")).results[0].code == "invalid_time"


def test_ids_of_repeats() -> None:
    """With a time a request sent again has the same ids, and two equal events in it two; without one the server makes them."""
    twice = _request(PURCHASE, PURCHASE, timestamp_micros=MICROS)
    first, second = (item["id"] for item in items_of(DOOR, twice))
    assert first != second
    assert [item["id"] for item in items_of(DOOR, twice)] == [first, second]
    assert item_of(DOOR, _request(PURCHASE, timestamp_micros=MICROS + 1))["id"] not in {first, second}
    assert judged(DOOR, _request(PURCHASE)).results[0].generated


def test_user_properties() -> None:
    """User properties are traits, known before the events; one without a value is forgotten; a visitor's are the visitor's."""
    request = _request(PURCHASE, user_properties={"plan": {"value": "pro"}, "city": {}}, timestamp_micros=MICROS)
    person, order = items_of(DOOR, request)
    assert person == {
        "type": "customer.identified",
        "customer": "u1",
        "anonymous": "c1",
        "time": MICROS / 1000,
        "data": {"traits": {"plan": "pro", "city": None}},
    }
    assert order["type"] == "order.completed"
    assert items_of(DOOR, _request(user_properties={"plan": {"value": "pro"}}, user_id=None))[0]["anonymous"] == "c1"


def test_a_login_makes_two_ids_one() -> None:
    """Who logs in is known to be the visitor; without a user id nobody is."""
    person, login = items_of(DOOR, _request({"name": "login", "params": {"method": "phone"}}))
    assert (person["type"], person["customer"], person["anonymous"]) == ("customer.identified", "u1", "c1")
    assert login["type"] == "login"
    assert item_of(DOOR, _request({"name": "login"}, user_id=None))["type"] == "login"


def test_apps_and_devices() -> None:
    """An app's instance is a visitor too; what is said of the device is context."""
    fields = {"app_instance_id": "app1", "user_agent": "UA", "ip_override": "1.2.3.4", "device": {"category": "mobile", "language": "ru"}}
    item = item_of(DOOR, _request({"name": "seen"}, client_id=None, user_id=None, **fields))
    assert item["anonymous"] == "app1"
    assert item["data"] == {"context": {"ip": "1.2.3.4", "userAgent": "UA", "locale": "ru", "device": {"type": "mobile"}}}


def test_answers() -> None:
    """The answer is 204 without a body, even where an event was rejected."""
    answer = DOOR.accept(_request(5), judged(DOOR, _request(5)))
    assert (answer.status, answer.body) == (204, b"")


def test_debugging() -> None:
    """The debug endpoint takes nothing in and says what would be rejected, in Google's shape; nothing where all is well."""
    nothing = Judged([], [], [], [])
    request = _request(PURCHASE, 5, {"params": {}}, PURCHASE | {"timestamp_micros": "soon"})
    assert DEBUG.read(request) == Parcel((), "sk_test")
    messages = json.loads(DEBUG.accept(request, nothing).body)["validationMessages"]
    assert [(message["fieldPath"], message["validationCode"]) for message in messages] == [
        ("events[1]", "VALUE_INVALID"),
        ("events[2].name", "VALUE_REQUIRED"),
        ("events[3].timestamp_micros", "VALUE_INVALID"),
    ]
    assert messages[1]["description"].startswith("missing_type: ")
    assert json.loads(DEBUG.accept(_request(PURCHASE), nothing).body) == {"validationMessages": []}
    odd = _request(user_properties={"email": {"value": "nobody"}})
    (message,) = json.loads(DEBUG.accept(odd, nothing).body)["validationMessages"]
    assert message["fieldPath"] == "user_properties"


def test_what_can_not_be_read() -> None:
    """Bodies without events are refused as a whole, at both endpoints."""
    for door in (DOOR, DEBUG):
        assert refusal_of(door, _request()) == "empty_batch"
        assert refusal_of(door, posted("/mp/collect", [])) == "invalid_json"
        assert refusal_of(door, posted("/mp/collect", {"events": {}})) == "invalid_json"
        assert refusal_of(door, posted("/mp/collect", b"")) == "invalid_json"
