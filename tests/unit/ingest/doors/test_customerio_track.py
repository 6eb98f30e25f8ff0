"""The door of Customer.io's Track API, with requests as customerio 3.2.0 (PyPI) sends them."""

import json
from typing import Any

import pytest

from services.contracts.codec import decode_event
from services.ingest.answers import refusal
from services.ingest.doors.customerio_track import CustomerioTrackDoor
from services.ingest.doors.port import Posted
from services.ingest.refusals import RequestRefused
from tests.door_requests import NOW, item_of, items_of, judged, posted, refusal_of

DOOR = CustomerioTrackDoor()
BASIC = {"authorization": "Basic c2l0ZTE6c2tfdGVzdA==", "content-type": "application/json"}
WITHDRAWN = {"email": False, "sms": False, "telegram": False}
PERSON = {"type": "person", "identifiers": {"id": "u1"}}


def _request(method: str, path: str, body: Any = None) -> Posted:
    return posted(path, {} if body is None else body, BASIC)._replace(method=method)


def _batch(*operations: Any) -> Posted:
    return _request("POST", "/api/v2/batch", {"batch": list(operations)})


def _operation(**fields: Any) -> dict[str, Any]:
    return PERSON | fields


def test_the_key_is_the_password() -> None:
    """The API key of `site_id:api_key` is the write key; credentials that are none give no key."""
    assert DOOR.read(_request("POST", "/api/v1/events", {"name": "a", "anonymous_id": "v"})).key == "sk_test"
    for given in ({}, {"authorization": "Bearer sk_test"}, {"authorization": "Basic ?"}, {"authorization": "Basic c2l0ZTE="}):
        assert DOOR.read(posted("/api/v1/events", {"name": "a"}, given)).key == ""


def test_identify() -> None:
    """A person's attributes are traits; the id stands in the path, whatever is in it."""
    body = {"email": "a@b.ru", "plan": "pro", "created_at": 1793491200, "anonymous_id": "v1", "_update": True}
    assert item_of(DOOR, _request("PUT", "/api/v1/customers/u 1/ю", body)) == {
        "type": "customer.identified",
        "customer": "u 1/ю",
        "anonymous": "v1",
        "data": {"traits": {"email": "a@b.ru", "plan": "pro", "created_at": 1793491200}},
    }


def test_who_is_unsubscribed_has_given_no_consent() -> None:
    """The attribute `unsubscribed`, and suppressing a person, withdraw consent everywhere; false gives none."""
    item = item_of(DOOR, _request("PUT", "/api/v1/customers/u1", {"unsubscribed": True}))
    assert item["data"] == {"traits": {"unsubscribed": True}, "consent": WITHDRAWN}
    assert "consent" not in item_of(DOOR, _request("PUT", "/api/v1/customers/u1", {"unsubscribed": False}))["data"]
    item = item_of(DOOR, _request("POST", "/api/v1/customers/u1/suppress"))
    assert (item["type"], item["customer"], item["data"]) == ("customer.identified", "u1", {"consent": WITHDRAWN})


def test_event() -> None:
    """An event has our name where its own is known, its id as ours, and its time in seconds."""
    body = {"name": "Order Completed", "data": {"total": 5}, "id": "01HX", "timestamp": 1795341600}
    assert item_of(DOOR, _request("POST", "/api/v1/customers/u1/events", body)) == {
        "type": "order.completed",
        "customer": "u1",
        "id": "01HX",
        "time": 1795341600,
        "data": {"total": 5},
    }
    text = _request("POST", "/api/v1/customers/u1/events", body | {"timestamp": "1795341600"})
    assert item_of(DOOR, text)["time"] == 1795341600


def test_backfill() -> None:
    """What happened more than thirty days ago is historical, and keeps its time; anything younger is not."""
    long_ago = int(NOW.timestamp()) - 31 * 86_400
    request = _request("POST", "/api/v1/customers/u1/events", {"name": "a", "timestamp": long_ago})
    (record,) = judged(DOOR, request).records
    event = decode_event(record.value)
    assert (event.historical, int(event.time.timestamp())) == (True, long_ago)
    recent = _request("POST", "/api/v1/customers/u1/events", {"name": "a", "timestamp": long_ago + 2 * 86_400})
    assert "historical" not in item_of(DOOR, recent)


def test_pages_and_screens() -> None:
    """A page view has its address as name; a screen its name."""
    page = _request("POST", "/api/v1/customers/u1/events", {"type": "page", "name": "http://x/y", "data": {"referrer": "z"}})
    assert item_of(DOOR, page) == {"type": "page.viewed", "customer": "u1", "data": {"url": "http://x/y", "referrer": "z"}}
    screen = _request("POST", "/api/v1/customers/u1/events", {"type": "screen", "name": "cart"})
    assert item_of(DOOR, screen) == {"type": "screen.viewed", "customer": "u1", "data": {"name": "cart"}}


def test_anonymous_event() -> None:
    """What a visitor does is his; an event of nobody's is refused with 400, as a single one that is wrong always is."""
    item = item_of(DOOR, _request("POST", "/api/v1/events", {"name": "seen", "data": {"a": 1}, "anonymous_id": "anon1"}))
    assert item == {"type": "seen", "anonymous": "anon1", "data": {"a": 1}}
    request = _request("POST", "/api/v1/events", {"name": "seen"})
    answer = DOOR.accept(request, judged(DOOR, request))
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "missing_customer")


def test_devices() -> None:
    """A device's token is the address for push; deleting a device forgets it."""
    body = {"device": {"last_used": 1763800000, "id": "tok", "platform": "ios"}}
    item = item_of(DOOR, _request("PUT", "/api/v1/customers/u1/devices", body))
    assert (item["customer"], item["data"]) == ("u1", {"addresses": {"push": "tok"}, "context": {"device": {"type": "ios"}}})
    item = item_of(DOOR, _request("DELETE", "/api/v1/customers/u1/devices/tok"))
    assert (item["customer"], item["data"]) == ("u1", {"addresses": {"push": None}})


def test_merge() -> None:
    """The secondary person becomes one with the primary, by whatever ids."""
    body = {"primary": {"email": "a@b.ru"}, "secondary": {"id": "u2"}}
    request = _request("POST", "/api/v1/merge_customers", body)
    assert item_of(DOOR, request) == {"type": "customer.identified", "customer": "a@b.ru", "anonymous": "u2", "data": {}}
    assert [record.key for record in judged(DOOR, request).merges] == [b"u2"]


@pytest.mark.parametrize(("path", "allow"), [("u1", "DELETE, PUT"), ("u1/events", "DELETE, POST, PUT"), ("u1/devices", "DELETE, PUT")])
def test_another_method_is_told_which_there_are(path: str, allow: str) -> None:
    """The answer names the methods of the path (RFC 9110, 15.5.6)."""
    with pytest.raises(RequestRefused) as refused:
        DOOR.read(_request("PATCH", f"/api/v1/customers/{path}"))
    assert dict(refusal(refused.value).headers)[b"allow"] == allow.encode()


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("DELETE", "/api/v1/customers/u1", "not_supported"),
        ("POST", "/api/v1/customers/u1/unsuppress", "not_supported"),
        ("POST", "/api/v1/customers/u1", "method_not_allowed"),
        ("GET", "/api/v1/customers/u1", "method_not_allowed"),
        ("PUT", "/api/v1/customers/", "not_found"),
    ],
)
def test_what_is_not_done(method: str, path: str, code: str) -> None:
    """Nothing is promised that is not done: erasing, and giving consent in somebody's name."""
    with pytest.raises(RequestRefused) as caught:
        DOOR.read(_request(method, path))
    assert caught.value.code == code


def test_batch() -> None:
    """Each operation of a batch becomes what its older path would have made of it."""
    items = items_of(
        DOOR,
        _batch(
            _operation(action="identify", identifiers={"email": "a@b.ru"}, attributes={"plan": "pro"}, timestamp=5),
            _operation(action="event", name="Order Completed", attributes={"total": 5}, timestamp=1795341600, id="01"),
            _operation(action="page", name="/x", identifiers={"anonymous_id": "v1"}),
            _operation(action="merge", primary={"id": "u1"}, secondary={"cio_id": "c2"}),
            _operation(action="add_relationships", cio_relationships=[{"identifiers": {"object_type_id": "1", "object_id": "acme"}}]),
        ),
    )
    assert [item["type"] for item in items] == [
        "customer.identified",
        "order.completed",
        "page.viewed",
        "customer.identified",
        "customer.grouped",
    ]
    assert (items[0]["customer"], items[0]["data"]["traits"]) == ("a@b.ru", {"email": "a@b.ru", "plan": "pro"})
    assert items[2]["anonymous"] == "v1"
    assert items[4]["data"] == {"group_id": "acme", "group_type": "1"}


def test_each_object_of_one_operation_is_an_event_of_its_own() -> None:
    """One id for two objects would make the second a repeat of the first."""
    objects = [{"identifiers": {"object_type_id": "1", "object_id": name}} for name in ("acme", "umbrella")]
    items = items_of(DOOR, _batch(_operation(action="add_relationships", cio_relationships=objects, id="01")))
    assert [(item["id"], item["data"]["group_id"]) for item in items] == [("01", "acme"), ("01:1", "umbrella")]


def test_rejects_of_a_batch() -> None:
    """A batch with bad operations is answered with 207, which names each by its place; the good ones are taken."""
    group = {
        "type": "object",
        "action": "identify",
        "identifiers": {"object_type_id": "1", "object_id": "acme"},
        "attributes": {"name": "A"},
    }
    people = [{"identifiers": {"id": "u1"}}, {"identifiers": {"id": "u2"}}]
    request = _batch(
        group | {"cio_relationships": people},
        group,
        5,
        _operation(action="delete"),
        _operation(action="dance"),
        _operation(action="event", name="a", identifiers={}),
        _operation(action="event", name="", id="x"),
    )
    judgement = judged(DOOR, request)
    assert judgement.counts == (2, 0, 6)
    answer = DOOR.accept(request, judgement)
    errors = json.loads(answer.body)["errors"]
    assert answer.status == 207
    assert [(error["batch_index"], error["reason"]) for error in errors] == [
        (1, "missing_customer"),
        (2, "not_an_object"),
        (3, "not_supported"),
        (4, "unknown_action"),
        (5, "missing_customer"),
        (6, "missing_type"),
    ]
    good = _batch(_operation(action="event", name="a"))
    assert DOOR.accept(good, judged(DOOR, good)).status == 200


def test_a_single_entity() -> None:
    """An operation by itself is answered by itself: 400 for what is not done, and for what is wrong."""
    for operation, status in (
        (_operation(action="delete"), 400),
        (_operation(action="event"), 400),
        (_operation(action="event", name="a"), 200),
    ):
        request = _request("POST", "/api/v2/entity", operation)
        assert DOOR.accept(request, judged(DOOR, request)).status == status


def test_what_can_not_be_read() -> None:
    """Bodies without operations are refused as a whole."""
    assert refusal_of(DOOR, _request("POST", "/api/v2/batch", {"batch": []})) == "empty_batch"
    assert refusal_of(DOOR, _request("POST", "/api/v2/batch", [])) == "invalid_json"
    assert refusal_of(DOOR, _request("PUT", "/api/v1/customers/u1", b"[]")) == "invalid_json"
    assert refusal_of(DOOR, _request("PUT", "/api/v1/customers/u1", b"{")) == "invalid_json"


def test_a_wrong_key_is_explained() -> None:
    """A refused key is answered with where this client has it; other refusals as everywhere."""
    answer = DOOR.refuse(_request("PUT", "/api/v1/customers/u1"), RequestRefused("unauthorized", "no"))
    assert answer is not None
    assert (answer.status, "API key" in json.loads(answer.body)["message"]) == (401, True)
    assert DOOR.refuse(_request("PUT", "/api/v1/customers/u1"), RequestRefused("rate_limited", "no")) is None
