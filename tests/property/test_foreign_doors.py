"""Whatever comes to the doors of PostHog, CloudEvents, Customer.io and GA4: read, or refused for the client's reason.

What is accepted can be read by everyone behind us, and each event has its result.
"""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.contracts.catalogue import load_catalogue
from services.contracts.codec import decode_event
from services.contracts.errors import InvalidEvent
from services.ingest.doors.cloudevents import CloudEventsDoor
from services.ingest.doors.customerio_track import CustomerioTrackDoor
from services.ingest.doors.ga4 import Ga4DebugDoor, Ga4Door
from services.ingest.doors.port import Door, Posted
from services.ingest.doors.posthog import PostHogDoor, PostHogV1Door
from services.ingest.doors.posthog_config import PostHogConfigDoor, PostHogFlagsDoor
from services.ingest.judge import Judge, Judged
from services.ingest.refusals import STATUS, RequestRefused
from tests.door_requests import NOW, SERVER

JUDGE = Judge(load_catalogue(), 65_536)
TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | TEXTS
VALUES = st.recursive(SCALARS, lambda below: st.lists(below, max_size=4) | st.dictionaries(TEXTS, below, max_size=4), max_leaves=8)
DEEP = b'{"a":' * 600 + b"1" + b"}" * 600


def _objects(*names: str, **own: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects whose fields have the names that a door looks for, and any values."""
    fields = {name: own.get(name.lstrip("$"), VALUES) for name in names}
    return st.fixed_dictionaries({}, optional=fields)


ID = st.sampled_from(["u1", "v1", "", "01a202f6-770e-76f1-ba4d-f33c5e1106a3"]) | VALUES
TIME = st.sampled_from(["2026-11-22T10:00:00Z", "2026-11-22T10:00:00", 1.8e12, 1795341600, "1795341600", "soon"]) | VALUES
PROPERTIES = _objects(
    *("$set", "$unset", "$groups", "$group_type", "$group_key", "$group_set", "$anon_distinct_id", "$lib", "$current_url", "$session_id"),
    *("distinct_id", "alias", "token", "utm_source", "$is_identified", "$ignore_sent_at", "$process_person_profile"),
    distinct_id=ID,
    alias=ID,
)
POSTHOG_NAMES = ["$identify", "$set", "$create_alias", "$merge_dangerously", "$groupidentify", "$pageview", "Order Completed", "seen"]
POSTHOG_EVENT = _objects(
    *("event", "distinct_id", "properties", "timestamp", "uuid", "$set", "$unset", "options", "session_id"),
    event=st.sampled_from(POSTHOG_NAMES) | VALUES,
    distinct_id=ID,
    properties=PROPERTIES | VALUES,
    timestamp=TIME,
)
POSTHOG = (
    POSTHOG_EVENT
    | st.lists(POSTHOG_EVENT | VALUES, max_size=3)
    | _objects(*("batch", "sent_at", "api_key", "historical_migration"), batch=st.lists(POSTHOG_EVENT | VALUES, max_size=3), sent_at=TIME)
)
CLOUD_EVENT = _objects(
    *("specversion", "id", "source", "type", "subject", "time", "data", "datacontenttype", "anonymousid", "historical", "ext", "Bad_Ext"),
    specversion=st.just("1.0") | VALUES,
    subject=ID,
    time=TIME,
    datacontenttype=st.sampled_from(["application/json", "text/xml"]) | VALUES,
    type=st.just("seen") | VALUES,
    id=st.just("1") | VALUES,
    source=st.just("s") | VALUES,
)
IDENTIFIERS = _objects("id", "email", "cio_id", "anonymous_id", "object_id", "object_type_id", id=ID) | VALUES
ACTIONS = ["identify", "event", "page", "screen", "merge", "suppress", "add_device", "delete_device", "add_relationships", "delete"]
OPERATION = _objects(
    *(
        "type",
        "action",
        "identifiers",
        "name",
        "attributes",
        "timestamp",
        "id",
        "primary",
        "secondary",
        "device",
        "cio_relationships",
        "data",
    ),
    type=st.sampled_from(["person", "object", "page"]) | VALUES,
    action=st.sampled_from(ACTIONS) | VALUES,
    identifiers=IDENTIFIERS,
    primary=IDENTIFIERS,
    secondary=IDENTIFIERS,
    name=st.sampled_from(["Order Completed", "seen"]) | VALUES,
    timestamp=TIME,
    cio_relationships=st.lists(_objects("identifiers", identifiers=IDENTIFIERS) | VALUES, max_size=2) | VALUES,
)
GA4_EVENT = _objects(
    *("name", "params", "timestamp_micros"),
    name=st.sampled_from(["purchase", "login", "add_to_cart"]) | VALUES,
    params=_objects("items", "value", "transaction_id", items=st.lists(VALUES, max_size=2)) | VALUES,
    timestamp_micros=st.integers(0, 2**70) | TIME,
)
GA4 = _objects(
    *("client_id", "app_instance_id", "user_id", "user_properties", "timestamp_micros", "events", "device"),
    client_id=ID,
    user_id=ID,
    events=st.lists(GA4_EVENT | VALUES, max_size=3) | VALUES,
    timestamp_micros=st.integers(0, 2**70) | TIME,
)
STRUCTURED = {b"content-type": b"application/cloudevents+json"}
BATCHED = {b"content-type": b"application/cloudevents-batch+json"}
BINARY = {b"ce-specversion": b"1.0", b"ce-id": b"1", b"ce-source": b"s%ED%A0", b"ce-type": b"seen", b"ce-subject": b"\xff%00"}
TRACK = CustomerioTrackDoor()
GATES: Mapping[str, tuple[Door, str, Mapping[bytes, bytes], st.SearchStrategy[Any]]] = {
    "posthog": (PostHogDoor(), "/e/", {}, POSTHOG),
    "posthog_v1": (PostHogV1Door(), "/i/v1/analytics/events", {b"posthog-sdk-info": b"posthog-python/7"}, POSTHOG),
    "posthog_flags": (PostHogFlagsDoor(), "/flags", {}, POSTHOG),
    "cloudevent": (CloudEventsDoor(), "/cloudevents", STRUCTURED, CLOUD_EVENT),
    "cloudevents": (CloudEventsDoor(), "/cloudevents", BATCHED, st.lists(CLOUD_EVENT | VALUES, max_size=3)),
    "cloudevent_binary": (CloudEventsDoor(), "/cloudevents", BINARY, VALUES),
    "track_batch": (TRACK, "/api/v2/batch", {}, _objects("batch", batch=st.lists(OPERATION | VALUES, max_size=3))),
    "track_entity": (TRACK, "/api/v2/entity", {}, OPERATION),
    "track_event": (TRACK, "/api/v1/customers/u1/events", {}, OPERATION),
    "track_visitor": (TRACK, "/api/v1/events", {}, OPERATION),
    "track_merge": (TRACK, "/api/v1/merge_customers", {}, OPERATION),
    "ga4": (Ga4Door(), "/mp/collect", {}, GA4),
    "ga4_debug": (Ga4DebugDoor(), "/debug/mp/collect", {}, GA4),
}


def _check(gate: str, body: bytes) -> Judged | None:
    """Send a body to a door, all the way; None where it was refused as a whole."""
    door, path, headers, _ = GATES[gate]
    posted = Posted("POST", path, {}, headers, body, NOW)
    try:
        parcel = door.read(posted)
    except (InvalidEvent, RequestRefused) as error:
        assert 400 <= STATUS[error.code] < 500  # noqa: PT017 - one of two good ends
        return None
    judged = JUDGE.judge(parcel.items, SERVER)
    assert [result.index for result in judged.results] == list(range(len(parcel.items)))
    for record in (*judged.records, *judged.merges):
        decode_event(record.value)
    answer = door.accept(posted, judged)
    assert answer.status < 500 or gate == "track_entity"
    assert answer.body == b"" or json.loads(answer.body) is not None
    return judged


@pytest.mark.parametrize("gate", GATES)
@given(data=st.data())
def test_read_or_refused(gate: str, data: st.DataObject) -> None:
    """JSON of about the right shape, with any value in any place, has a result for each event, or is refused with a 4xx."""
    _check(gate, json.dumps(data.draw(GATES[gate][3] | VALUES)).encode())


@pytest.mark.parametrize("gate", GATES)
@given(body=st.binary(max_size=60) | st.binary(max_size=40).map(lambda data: b"data=" + data))
@example(body=DEEP)
@example(body=b"[" * 100_000)
@example(body=b'{"batch": [' + DEEP + b'], "events": [{"timestamp_micros": 5, "params": ' + DEEP + b"}]}")
@example(body=b'{"batch": ' + b"[" * 990 + b"]" * 990 + b"}")
@example(body=b"9" * 5_000)
def test_any_bytes(gate: str, body: bytes) -> None:
    """Bytes that are no JSON, or JSON of any depth, are read or refused by `InvalidEvent` or `RequestRefused` and by nothing else."""
    _check(gate, body)


@given(st.text(max_size=30), st.sampled_from(["GET", "PUT", "POST", "DELETE"]))
def test_any_path_below_a_customer(rest: str, method: str) -> None:
    """Whatever stands in the path, an operation is read or refused."""
    posted = Posted(method, f"/api/v1/customers/{rest}", {}, {b"authorization": b"Basic \xff"}, b"{}", NOW)
    try:
        parcel = TRACK.read(posted)
    except RequestRefused as error:
        assert error.code in {"not_found", "not_supported", "method_not_allowed"}  # noqa: PT017 - one of two good ends
        return
    judged = JUDGE.judge(parcel.items, SERVER)
    assert TRACK.accept(posted, judged).status in {200, 400}


@given(st.text(max_size=30))
def test_any_path_below_a_project(rest: str) -> None:
    """The settings are given for any key's path, and for no other."""
    posted = Posted("GET", f"/array/{rest}", {}, {}, b"", NOW)
    try:
        parcel = PostHogConfigDoor().read(posted)
    except RequestRefused as error:
        assert error.code == "not_found"  # noqa: PT017 - one of two good ends
        return
    assert f"/array/{parcel.key}/config" in posted.path
