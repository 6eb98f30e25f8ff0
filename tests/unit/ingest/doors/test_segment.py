"""The Segment door: kinds, paths, ids, times, contexts, mistakes, and the answers to them."""

import json
from functools import partial
from typing import Any

import msgspec
import pytest

from services.contracts.aliases import load_aliases
from services.contracts.catalogue import load_catalogue
from services.contracts.incoming import Incoming, Unreadable
from services.ingest.doors.port import Posted
from services.ingest.doors.registry import door_at
from services.ingest.doors.segment import KINDS, MetricsDoor, SegmentDoor
from services.ingest.identity import is_signed
from services.ingest.judge import Judge, Judged
from services.ingest.refusals import RequestRefused
from tests.door_requests import SERVER, posted, refusal_of

DOOR = SegmentDoor(lambda: load_aliases("segment", "b2b"))
KINDS_OF_MESSAGE = ("track", "identify", "page", "screen", "group", "alias")
WHOLE = {"type": "track", "event": "x", "userId": "u1", "groupId": "g", "previousId": "a1"}


def _batch(*messages: Any, **shared: Any) -> Posted:
    return posted("/v1/batch", {"batch": list(messages), **shared})


def _read(request: Posted) -> list[dict[str, Any]]:
    """Return what is said in each message of a request, read strictly."""
    items = [item for item in DOOR.read(request).items if isinstance(item, Incoming)]
    return [{name: value for name, value in msgspec.structs.asdict(item).items() if value} for item in items]


def _track(**fields: Any) -> dict[str, Any]:
    (found,) = _read(posted("/v1/track", {"event": "x", "userId": "u1", **fields}))
    return found


def _judged(request: Posted) -> Judged:
    return Judge(load_catalogue(), 65_536).judge(DOOR.read(request).items, SERVER)


def _answer(request: Posted) -> dict[str, Any]:
    answer = DOOR.accept(request, _judged(request))
    assert answer.status == 200
    found: dict[str, Any] = json.loads(answer.body)
    return found


@pytest.mark.parametrize("kind", KINDS_OF_MESSAGE)
def test_path_says_the_kind(kind: str) -> None:
    """A message needs no type where the path says it, in full or by its first letter, with or without a slash at the end."""
    message = {name: value for name, value in WHOLE.items() if name != "type"}
    expected = _read(_batch(WHOLE | {"type": kind}))
    for path in (f"/v1/{kind}", f"/v1/{kind}/", f"/v1/{kind[0]}", f"/v1/{kind[0]}/"):
        assert _read(posted(path, message)) == expected


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b/", "/v1/import", "/beacon/v1/batch"])
def test_batch_paths(path: str) -> None:
    """A batch is taken at each of its paths."""
    assert [each["type"] for each in _read(posted(path, {"batch": [WHOLE, WHOLE]}))] == ["x", "x"]


def test_paths_lead_here() -> None:
    """Every path leads to this door, with and without a slash at the end."""
    found = {type(door_at("POST", path + slash)) for path in KINDS for slash in ("", "/")}
    assert found == {SegmentDoor}
    assert isinstance(door_at("POST", "/v1/m"), MetricsDoor)


def test_metrics_are_thrown_away() -> None:
    """What analytics.js measures of itself is answered 200 and goes nowhere, also without a key."""
    door = MetricsDoor()
    request = posted("/v1/m", {"series": []})
    assert door.read(request).items == ()
    answer = door.refuse(request, RequestRefused("unauthorized", "no key"))
    assert answer is not None
    assert (answer.status, answer.body) == (200, b'{"success":true}')


def test_known_name_becomes_ours() -> None:
    """A name of the e-commerce spec becomes our type; properties keep their names; an unknown name stays as it is."""
    known, unknown = _read(_batch(WHOLE | {"event": "Order Completed", "properties": {"order_id": "o1"}}, WHOLE | {"event": "Wink"}))
    assert (known["type"], known["data"]) == ("order.completed", {"order_id": "o1"})
    assert unknown["type"] == "Wink"


@pytest.mark.parametrize("absent", [None, ""])
def test_absent_user(absent: str | None) -> None:
    """A userId that is null or empty is none: the visitor's id is the subject."""
    judged = _judged(_batch(WHOLE | {"userId": absent, "anonymousId": "a1"}))
    assert [record.key for record in judged.records] == [b"a1"]


def test_traits_from_both_places() -> None:
    """Identify's traits come from the message and its context; the message's own win."""
    message = {"type": "identify", "userId": "u1", "traits": {"a": 1, "b": 1}, "context": {"traits": {"b": 2, "c": 2}}}
    (found,) = _read(_batch(message))
    assert found["data"] == {"traits": {"a": 1, "b": 1, "c": 2}}


def test_contexts_are_merged() -> None:
    """A batch's context is each message's, but for what the message says itself."""
    first, second = _read(_batch(WHOLE, WHOLE | {"context": {"locale": "ru"}}, context={"locale": "en", "ip": "203.0.113.7"}))
    assert first["data"]["context"] == {"locale": "en", "ip": "203.0.113.7"}
    assert second["data"]["context"] == {"locale": "ru", "ip": "203.0.113.7"}


def test_context_after_a_message_without_one() -> None:
    """A message without a context has none of its neighbour's."""
    first, second = _read(_batch(WHOLE | {"context": {"locale": "ru"}}, WHOLE))
    assert first["data"]["context"] == {"locale": "ru"}
    assert "data" not in second


def test_kept_of_a_context() -> None:
    """Of a context little is kept: no screen, no device's id, no traits."""
    context = {
        "device": {"type": "ios", "id": "secret", "token": "t"},
        "library": {"name": "l", "version": "1", "variant": "v"},
        "location": {"country": "KZ", "latitude": 43.2},
        "timezone": "Asia/Tokyo",
        "campaign": {"source": "mail"},
        "screen": {"width": 1},
        "traits": {"email": "a@b.example"},
        "page": {},
    }
    expected = {
        "device": {"type": "ios"},
        "library": {"name": "l", "version": "1"},
        "location": {"country": "KZ"},
        "timezone": "Asia/Tokyo",
        "campaign": {"source": "mail"},
    }
    assert _track(context=context)["data"]["context"] == expected


def test_group() -> None:
    """A group is an event of its customer, with the group's id and what is said of the group."""
    (found,) = _read(_batch({"type": "group", "userId": "u1", "groupId": 7, "traits": {"plan": "pro"}}))
    assert (found["type"], found["customer"], found["data"]) == ("customer.grouped", "u1", {"group_id": 7, "traits": {"plan": "pro"}})


@pytest.mark.parametrize(("previous", "expected"), [("a1", "a1"), (None, "visitor"), ("", "visitor")])
def test_alias(previous: str | None, expected: str) -> None:
    """An alias makes one person of two ids: of the visitor's where no previous one is named."""
    (found,) = _read(_batch({"type": "alias", "userId": "u1", "previousId": previous, "anonymousId": "visitor"}))
    assert found == {"type": "customer.identified", "customer": "u1", "anonymous": expected}


def test_screen_has_its_name() -> None:
    """A screen's name and category come beside its properties, which win."""
    (found,) = _read(_batch({"type": "screen", "userId": "u1", "name": "Main", "category": "App", "properties": {"name": "Other", "x": 1}}))
    assert (found["type"], found["data"]) == ("screen.viewed", {"name": "Other", "category": "App", "x": 1})


def test_times() -> None:
    """The message's own time of sending counts, else its envelope's; where both times are given, `timestamp` is right already."""
    own, enveloped, both, original = _read(
        _batch(
            WHOLE | {"timestamp": 100, "sentAt": 200},
            WHOLE | {"timestamp": 100},
            WHOLE | {"timestamp": 100, "originalTimestamp": 50, "sentAt": 200},
            WHOLE | {"originalTimestamp": 50},
            sentAt=300,
        )
    )
    assert [(each["time"], each.get("sent_at")) for each in (own, enveloped, both, original)] == [
        (100, 200),
        (100, 300),
        (100, None),
        (50, 300),
    ]


@pytest.mark.parametrize("sent_at", ["yesterday", "2026-11-22T12:00:00", {}, True])
def test_useless_time_of_sending(sent_at: Any) -> None:
    """A time of sending that can't be read corrects nothing and harms nothing."""
    judged = _judged(_batch(WHOLE | {"timestamp": "2026-11-22T11:00:00Z"}, sentAt=sent_at))
    assert judged.counts == (1, 0, 0)
    assert b'"time":"2026-11-22T11:00:00Z"' in judged.records[0].value


def test_signature_of_the_customer() -> None:
    """What proves the customer's id comes in the context, and is not kept."""
    found = _track(context={"signature": "abc"})
    assert found["signature"] == "abc"
    assert "data" not in found


@pytest.mark.parametrize("signature", [5, 1.5, True, [], ["abc"], {"a": 1}, None])
def test_signature_that_is_no_text(signature: Any) -> None:
    """What is no text proves nobody, and costs its own message only."""
    signed = SERVER._replace(is_signed=partial(is_signed, ["secret"]))
    batch = _batch({**WHOLE, "context": {"signature": signature}}, {"type": "track", "event": "x", "anonymousId": "v" * 20})
    judged = Judge(load_catalogue(), 65_536).judge(DOOR.read(batch).items, signed)
    assert [result.code for result in judged.results] == ["bad_signature", None]


def test_empty_array_for_an_object() -> None:
    """PHP's clients say `[]` where they mean an empty object."""
    batch = _batch(WHOLE | {"properties": [], "context": []}, {"type": "identify", "userId": "u1", "traits": [], "messageId": "m"})
    assert _judged(batch).counts == (2, 0, 0)


def test_unknown_fields_are_allowed() -> None:
    """What clients add beside the spec neither fails nor slows."""
    (item,) = DOOR.read(posted("/v1/track", WHOLE | {"_metadata": {"a": [1]}, "integrations": {"All": False}, "version": 2})).items
    assert isinstance(item, Incoming)


@pytest.mark.parametrize(
    ("message", "code", "pointer"),
    [
        ({"type": "track", "userId": "u1"}, "missing_event", "/event"),
        ({"type": "track", "userId": "u1", "event": " "}, "missing_event", "/event"),
        ({"type": "track", "userId": "u1", "event": 7}, "missing_event", "/event"),
        ({"userId": "u1", "event": "x"}, "unknown_type", "/type"),
        ({"type": "trck", "userId": "u1", "event": "x"}, "unknown_type", "/type"),
        ({"type": ["track"]}, "unknown_type", "/type"),
        ({"type": "group", "userId": "u1"}, "missing_group", "/groupId"),
        ({"type": "alias", "previousId": "a1"}, "missing_customer", "/userId"),
        ({"type": "track", "event": "x"}, "missing_customer", "/userId"),
        ({"type": "track", "event": "x", "userId": {"id": 1}}, "invalid_customer", "/userId"),
        ({"type": "track", "event": "x", "userId": "null"}, "placeholder_id", "/userId"),
        ({"type": "track", "event": "x", "userId": "u1", "timestamp": "soon"}, "invalid_time", "/timestamp"),
        ({"type": "track", "event": "x", "userId": "u1", "properties": [1]}, "invalid_data", "/properties"),
        ({"type": "track", "event": "Order Completed", "userId": "u1", "properties": {"total": "9,5"}}, "schema", "/properties/total"),
        ({"type": "track", "event": "message.sent", "userId": "u1"}, "reserved_type", "/event"),
        ("not an object", "not_an_object", ""),
        (None, "not_an_object", ""),
    ],
)
def test_bad_message_among_good_ones(message: Any, code: str, pointer: str) -> None:
    """A bad message is named with its place, code and pointer in the client's words; its neighbours are taken."""
    answer = _answer(_batch(WHOLE, message, WHOLE | {"messageId": "m3"}))
    assert answer["success"] is True
    assert [(each["index"], each["code"], each["pointer"]) for each in answer["rejected"]] == [(1, code, pointer)]
    assert answer["accepted"] == 2


def test_rejected_message_is_named() -> None:
    """A rejected message is named by its id too, where it has one."""
    request = _batch(WHOLE | {"messageId": "m1", "userId": "undefined"})
    (found,) = _answer(request)["rejected"]
    assert found["messageId"] == "m1"


def test_changed_message_is_remarked() -> None:
    """What was done to a message that was taken is said: a new id, a time that was moved, a phone that is none."""
    fine = WHOLE | {"messageId": "m1"}
    old = WHOLE | {"messageId": "m2", "timestamp": "2020-01-01T00:00:00Z"}
    phone = {"type": "identify", "userId": "u1", "messageId": "m4", "traits": {"phone": "call me"}}
    remarked = _answer(_batch(fine, old, WHOLE, phone))["remarked"]
    assert [(each["index"], each["messageId"], len(each["remarks"])) for each in remarked] == [(1, "m2", 1), (2, "new", 1), (3, "m4", 1)]


def test_dead_letter_has_no_key() -> None:
    """A dead letter keeps the message as it came, but not the write key."""
    for message in ({"type": "nothing", "writeKey": "wk", "userId": "u1"}, {"type": 1, "writeKey": "wk", "userId": "u1"}):
        (item,) = DOOR.read(_batch(message)).items
        assert isinstance(item, Unreadable)
        assert item.original == {"type": message["type"], "userId": "u1"}


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", "invalid_json"), (b"{", "invalid_json"), (b'"text"', "invalid_json"), (b"7", "invalid_json"), (b"[" * 100_000, "too_deep")],
)
def test_unreadable_body(body: bytes, code: str) -> None:
    """A body that is no JSON, or no object, is refused as a whole."""
    assert refusal_of(DOOR, posted("/v1/batch", body)) == code


@pytest.mark.parametrize("body", [{"batch": []}, []])
def test_empty_batch(body: Any) -> None:
    """A request without a message is refused, by the common words."""
    request = posted("/v1/batch", body)
    with pytest.raises(RequestRefused) as caught:
        DOOR.read(request)
    assert caught.value.code == "empty_batch"
    assert DOOR.refuse(request, caught.value) is None


def test_nul_takes_the_slow_way() -> None:
    """A NUL, which strict readers let pass, is cleaned away."""
    judged = _judged(posted("/v1/track", b'{"event": "x", "userId": "u\\u00001", "properties": {"a": "b\\u0000c"}}'))
    assert judged.records[0].key == b"u1"
    assert b'"a":"bc"' in judged.records[0].value


def test_deep_contexts_that_are_equal() -> None:
    """Two equal contexts of great depth are a mistake of their messages, none of ours."""
    deep = b'{"type": "track", "event": "x", "userId": "u1", "context": {"page": ' + b"[" * 900 + b"]" * 900 + b"}}"
    answer = _answer(posted("/v1/batch", b'{"batch": [' + deep + b"," + deep + b"]}"))
    assert [each["code"] for each in answer["rejected"]] == ["too_deep", "too_deep"]
