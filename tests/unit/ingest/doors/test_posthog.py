"""The PostHog doors, with bodies as posthog 7.91.1 (PyPI), posthog-node 5.70.0 and posthog-js 1.449.2 send them."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.contracts.codec import decode_event
from services.contracts.incoming import Unreadable
from services.ingest.doors.port import Posted
from services.ingest.doors.posthog import PostHogDoor, PostHogV1Door
from services.ingest.refusals import RequestRefused
from tests.door_requests import item_of, items_of, judged, posted, refusal_of

BODIES = Path("tests/fixtures/doors")
DOOR = PostHogDoor()
V1 = PostHogV1Door()
VISITOR = "01a202f6-770e-76f1-ba4d-f33c5e1106a3"


def _body(name: str) -> Posted:
    return posted("/e/", (BODIES / f"{name}.json").read_bytes())


def _one(**event: Any) -> Posted:
    return posted("/capture/", {"api_key": "k", "event": "seen", "distinct_id": "u1", "uuid": "e1"} | event)


def _v1(*events: Any, **head: Any) -> Posted:
    headers = {"PostHog-Sdk-Info": "posthog-python/7.91.1", "PostHog-Request-Timestamp": "2026-11-22T11:59:00+00:00"}
    return posted("/i/v1/analytics/events", {"created_at": "x", "batch": list(events)} | head, headers)


def test_python_batch() -> None:
    """posthog-python's batch is read in order: an order by our name, traits, an alias, a group, a page, and a visitor without a profile."""
    parcel = DOOR.read(_body("posthog_python"))
    assert parcel.key == "sk_test"
    order, traits, once, alias, group, page, visitor = items_of(DOOR, _body("posthog_python"))
    assert order == {
        "type": "order.completed",
        "customer": "u1",
        "id": "c8785519-9312-4673-b254-2e8f835548ef",
        "time": "2026-11-22T10:00:00+00:00",
        "sent_at": "2026-11-22T11:11:49.671686+00:00",
        "historical": False,
        "data": {"total": 5, "context": {"library": {"name": "posthog-python", "version": "7.91.1"}}},
    }
    assert (traits["type"], traits["data"]["traits"]) == ("customer.identified", {"email": "a@b.ru"})
    assert (once["type"], "traits" in once["data"]) == ("customer.identified", False)
    assert (alias["type"], alias["customer"], alias["anonymous"]) == ("customer.identified", "u1", "anon1")
    assert group["data"] | {"context": {}} == {"group_id": "acme", "group_type": "company", "traits": {"name": "Acme"}, "context": {}}
    assert (page["type"], page["data"]["url"]) == ("page.viewed", "http://x/y")
    assert (visitor["type"], visitor["anonymous"]) == ("noid", "1fca5118-a910-4f7c-b495-e598af6e3dee")


def test_node_batch() -> None:
    """posthog-node's traits beside an event go before it; its alias stays with `distinct_id`; its group without a person is refused."""
    person, order, identified, alias, group = DOOR.read(_body("posthog_node")).items
    assert isinstance(person, dict)
    assert (person["type"], person["data"]["traits"]) == ("customer.identified", {"plan": "pro"})
    assert person["id"] == "01a202f5-b4f0-7345-81f7-508fbe146771:person"
    assert isinstance(order, dict)
    assert (order["type"], order["data"]["context"]["groupId"]) == ("order.completed", "acme")
    assert isinstance(identified, dict)
    assert (identified["customer"], identified["anonymous"], identified["data"]["traits"]) == ("u1", "anon1", {"email": "a@b.ru"})
    assert isinstance(alias, dict)
    assert (alias["customer"], alias["anonymous"]) == ("u1", "anon1")
    assert isinstance(group, Unreadable)
    assert (group.error.code, group.original["id"]) == ("missing_customer", "01a202f5-b4fb-7ad1-983d-81b63d9561fc")


def test_browser_page() -> None:
    """posthog-js's page view is the visitor's, with the page in the data and what it knows of the visit in the context."""
    page = item_of(DOOR, _body("posthog_js_pageview"))
    assert (page["type"], page["anonymous"], "customer" in page) == ("page.viewed", VISITOR, False)
    url = "http://127.0.0.1:18803/?utm_source=mail&utm_campaign=w"
    context = page["data"].pop("context")
    assert page["data"] == {"url": url, "path": "/", "title": "Shop & co", "session_id": "01a202f6-774e-73cb-bc31-ca5339c225df"}
    assert context.pop("userAgent").startswith("Mozilla/5.0")
    assert context == {
        "timezone": "UTC",
        "locale": "en-US",
        "page": {"url": url, "path": "/", "title": "Shop & co"},
        "campaign": {"source": "mail", "name": "w"},
        "library": {"name": "web", "version": "1.449.2"},
        "device": {"type": "Desktop"},
    }


def test_browser_session() -> None:
    """What a visitor does before he identifies himself and after is read with both his ids where the two become one."""
    added, identified, order, group, traits, first, second = items_of(DOOR, _body("posthog_js"))
    assert (added["type"], added["anonymous"], added["data"]["product_id"]) == ("product.added", VISITOR, "p1")
    assert (identified["customer"], identified["anonymous"], identified["data"]["traits"]) == ("u1", VISITOR, {"email": "a@b.ru"})
    assert (order["type"], order["customer"], "anonymous" in order) == ("order.completed", "u1", False)
    assert (group["type"], group["data"]["group_id"]) == ("customer.grouped", "acme")
    assert traits["data"]["traits"] == {"plan": "pro"}
    assert [(each["customer"], each["anonymous"]) for each in (first, second)] == [("u1", "u2"), ("u1", "u9")]
    records = judged(DOOR, _body("posthog_js"))
    assert records.counts == (7, 0, 0)
    assert [(decode_event(record.value).subject, decode_event(record.value).data["into"]) for record in records.merges] == [
        (VISITOR, "u1"),
        ("u2", "u1"),
        ("u9", "u1"),
    ]


def test_browser_beacon() -> None:
    """What posthog-js sends while its page is being left is a form with base64 in it."""
    request = posted("/e/", (BODIES / "posthog_js_beacon.txt").read_bytes(), query={"compression": "base64"})
    assert DOOR.read(request).key == "pk_test"
    assert item_of(DOOR, request)["type"] == "$pageleave"


def test_other_shapes() -> None:
    """A single event, a bare array of them with the key in the properties, and an id among the properties are read."""
    assert item_of(DOOR, _one())["customer"] == "u1"
    event = {"event": "seen", "properties": {"distinct_id": "u2", "token": "k2", "a": 1}}
    parcel = DOOR.read(posted("/e/", [event, event], query={"_": "1795346038470"}))
    assert parcel.key == "k2"
    assert parcel.items == [{"type": "seen", "customer": "u2", "sent_at": 1795346038470, "data": {"a": 1}}] * 2


def test_skew_is_not_corrected_where_the_client_says_so() -> None:
    """`$ignore_sent_at`, or the option of the newer protocol, leaves the time as it was stated."""
    request = posted("/batch/", {"sent_at": "2026-11-22T11:00:00Z", "batch": [{"properties": {"$ignore_sent_at": True}}, {}]})
    assert ["sent_at" in item for item in items_of(DOOR, request)] == [False, True]
    assert "sent_at" not in item_of(V1, _v1({"options": {"disable_skew_correction": True}}))


def test_a_visit_is_no_trait() -> None:
    """The visit stands in the data of what somebody did, and not in what says who somebody is."""
    assert item_of(DOOR, _one(properties={"$session_id": "s1"}))["data"] == {"session_id": "s1"}
    registered = item_of(DOOR, _one(event="Signed Up", properties={"$session_id": "s1", "plan": "pro"}))
    assert (registered["type"], registered["data"]) == ("customer.registered", {"plan": "pro"})


def test_traits_taken_away() -> None:
    """`$unset` makes traits null, which forgets them; names that begin with a dollar are PostHog's."""
    person, event = items_of(DOOR, _one(properties={"$set": {"plan": "pro", "$geo": 1}, "$unset": ["city", 5]}))
    assert person["data"]["traits"] == {"plan": "pro", "city": None}
    assert event["data"] == {}


@pytest.mark.parametrize(
    ("lib", "distinct", "alias", "customer"),
    [
        ("posthog-python", "old", "new", "new"),
        ("posthog-node", "old", "new", "old"),
        ("posthog-node", VISITOR, "new", "new"),
        ("posthog-python", "old", VISITOR, "old"),
    ],
)
def test_whose_alias(lib: str, distinct: str, alias: str, customer: str) -> None:
    """Of an alias's two ids the customer is the one no machine has made; of two such the one that the library means."""
    item = item_of(DOOR, _one(event="$create_alias", distinct_id=distinct, properties={"alias": alias, "$lib": lib}))
    assert item["customer"] == customer
    assert {item["customer"], item["anonymous"]} == {distinct, alias}


@pytest.mark.parametrize("name", ["$exception", "$feature_flag_called", "$web_vitals", "$$heatmap"])
def test_what_is_about_the_site_is_not_kept(name: str) -> None:
    """Events about the site's program are no customer's: they are answered, and left out."""
    assert items_of(DOOR, _one(event=name)) == []
    assert [item["type"] for item in items_of(V1, _v1({"event": name}, {"event": "seen"}))] == ["seen"]


def test_dangerous_merge() -> None:
    """`$merge_dangerously` brings the alias into `distinct_id`."""
    item = item_of(DOOR, _one(event="$merge_dangerously", properties={"alias": "u9"}))
    assert (item["customer"], item["anonymous"]) == ("u1", "u9")


def test_a_legacy_answer_says_what_is_wrong() -> None:
    """The answer is 200 with PostHog's own word and what there is to say of single events."""
    request = posted("/batch/", {"batch": [{"event": "a", "distinct_id": "u1", "uuid": "e1"}, {"event": "b", "uuid": "e2"}]})
    answer = DOOR.accept(request, judged(DOOR, request))
    found = json.loads(answer.body)
    assert (answer.status, found["status"], found["success"]) == (200, 1, True)
    assert (found["accepted"], found["rejected"]) == (1, 1)
    assert [(result["index"], result["code"]) for result in found["results"]] == [(1, "missing_customer")]


def test_v1_batch() -> None:
    """The newer protocol has its time of sending and its library in headers, traits among the properties and options of its own."""
    parcel = V1.read(
        posted("/i/v1/analytics/events", (BODIES / "posthog_python_v1.json").read_bytes(), {"PostHog-Sdk-Info": "posthog-python/7.91.1"})
    )
    order, traits, _, alias, *_, visitor = parcel.items
    assert parcel.key == ""
    assert isinstance(order, dict)
    assert order["data"]["context"] == {"library": {"name": "posthog-python", "version": "7.91.1"}}
    assert isinstance(traits, dict)
    assert traits["data"]["traits"] == {"email": "a@b.ru"}
    assert isinstance(alias, dict)
    assert (alias["customer"], alias["anonymous"]) == ("u1", "anon1")
    assert isinstance(visitor, dict)
    assert visitor["anonymous"] == "42f675fe-094e-4458-85c9-69346c58b0eb"
    assert item_of(V1, _v1({"event": "a", "distinct_id": "u1"}))["sent_at"] == "2026-11-22T11:59:00+00:00"


def test_v1_verdicts() -> None:
    """Each uuid has its verdict: taken, taken with a remark (its traits were not, or its time was moved), dropped."""
    request = _v1(
        {"event": "a", "distinct_id": "u1", "uuid": "good"},
        {"event": "a", "distinct_id": "u1", "uuid": "good"},
        {"event": "a", "uuid": "nobody"},
        {"event": "a", "distinct_id": "u1", "uuid": "ancient", "timestamp": "2020-01-01T00:00:00Z"},
        {"event": "a", "distinct_id": "u1", "uuid": "odd", "properties": {"$set": {"x" * 300: 1}}},
        {"event": "$set", "distinct_id": "u1", "uuid": "mail", "properties": {"$set": {"email": "nobody"}}},
    )
    verdicts = json.loads(V1.accept(request, judged(V1, request)).body)["results"]
    assert {uuid: verdict["result"] for uuid, verdict in verdicts.items()} == {
        "good": "ok",
        "nobody": "drop",
        "ancient": "warning",
        "odd": "warning",
        "mail": "warning",
    }
    assert verdicts["nobody"]["details"].startswith("missing_customer: ")
    assert verdicts["odd"]["details"].startswith("key_too_long: ")


def test_historical_imports() -> None:
    """`historical_migration` makes every event of the request a historical one."""
    assert item_of(DOOR, posted("/batch/", {"historical_migration": True, "batch": [{}]}))["historical"] is True
    assert item_of(V1, _v1({}, historical_migration=True))["historical"] is True


def test_what_can_not_be_read() -> None:
    """Bodies that hold no event are refused as a whole; what is no event in a batch, alone."""
    assert refusal_of(DOOR, posted("/e/", b"{")) == "invalid_json"
    assert refusal_of(DOOR, posted("/e/", b"5")) == "invalid_json"
    assert refusal_of(DOOR, posted("/batch/", {"batch": []})) == "empty_batch"
    assert refusal_of(DOOR, posted("/e/", b"data=e")) == "invalid_json"
    assert refusal_of(DOOR, posted("/e/", b"data=e30", query={"compression": "lz64"})) == "invalid_json"
    assert refusal_of(V1, posted("/i/v1/analytics/events", {"batch": {}})) == "invalid_json"
    assert refusal_of(V1, _v1()) == "empty_batch"
    assert [result.code for result in judged(DOOR, posted("/batch/", {"batch": [5, {"distinct_id": "u1"}]})).results] == [
        "not_an_object",
        "missing_type",
    ]


@pytest.mark.parametrize(("path", "status"), [("/e/", 503), ("/i/v0/e", 503), ("/batch/", None)])
def test_a_rate_on_the_browsers_path_is_worded_as_an_outage(path: str, status: int | None) -> None:
    """posthog-js throws away what got a 429, and repeats a 503 after the stated time; the servers' libraries repeat a 429 too."""
    answer = DOOR.refuse(posted(path, {}), RequestRefused("rate_limited", "too fast", retry_after=7))
    assert (answer and (answer.status, answer.headers)) == (status and (status, ((b"retry-after", b"7"),)))
    assert DOOR.refuse(posted(path, {}), RequestRefused("unauthorized", "no")) is None
