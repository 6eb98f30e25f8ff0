"""Whatever JSON is posted to the Segment door: read, or refused for the client's reason; what is accepted can be read behind us."""

import json
from functools import partial
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from services.contracts.aliases import load_aliases
from services.contracts.catalogue import load_catalogue
from services.contracts.codec import decode_event
from services.contracts.errors import InvalidEvent
from services.contracts.normalise import Reception
from services.ingest.doors.port import Posted
from services.ingest.doors.segment import KINDS, SegmentDoor
from services.ingest.identity import is_signed
from services.ingest.judge import Judge
from services.ingest.refusals import RequestRefused
from tests.door_requests import NOW, SERVER

DOOR = SegmentDoor(lambda: load_aliases("segment", "b2b"))
JUDGE = Judge(load_catalogue(), 65_536)
SIGNED = SERVER._replace(trusted=False, is_signed=partial(is_signed, ["secret"]))
TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | TEXTS
VALUES = st.recursive(SCALARS, lambda below: st.lists(below, max_size=4) | st.dictionaries(TEXTS, below, max_size=4), max_leaves=12)
KIND = st.sampled_from(["track", "identify", "page", "screen", "group", "alias"]) | VALUES
EVENT = st.sampled_from(["Product Added", "Completed Order", "Signed Up", "message.sent"]) | VALUES
ID = st.sampled_from(["u1", "a1", ""]) | VALUES
TIME = st.sampled_from(["2026-11-22T10:00:00Z", "2026-11-22T10:00:00", 1.8e12, "soon"]) | VALUES
CONTEXT = VALUES | st.dictionaries(st.sampled_from(["traits", "library", "device", "timezone", "signature", "page"]), VALUES, max_size=4)
DATA = VALUES | st.dictionaries(st.sampled_from(["products", "id", "orderId", "price", "email"]), VALUES, max_size=4)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("properties", "traits"), DATA),
    **dict.fromkeys(("name", "category"), VALUES),
    **dict.fromkeys(("userId", "anonymousId", "previousId", "groupId", "messageId", "writeKey"), ID),
    "type": KIND,
    "event": EVENT,
    "context": CONTEXT,
    **dict.fromkeys(("timestamp", "originalTimestamp", "sentAt"), TIME),
}
MESSAGES = st.fixed_dictionaries({}, optional=FIELDS)
BATCHES = st.fixed_dictionaries(
    {"batch": st.lists(MESSAGES | VALUES, max_size=4)}, optional={"context": CONTEXT, "sentAt": TIME, "writeKey": ID}
)
BODIES = (MESSAGES | BATCHES | VALUES).map(lambda body: json.dumps(body).encode()) | st.binary(max_size=60)


@given(BODIES, st.sampled_from(sorted(KINDS)), st.sampled_from([SERVER, SIGNED]))
@example(
    b'{"batch": [{"type": "track", "event": "x", "userId": "u1"}, {"type": "track", "event": "x", "userId": "u1", "v": NaN}]}',
    "/v1/b",
    SERVER,
)
@example(b'{"type": "track", "event": "x", "userId": "u1", "context": {"signature": 5}}', "/v1/t", SIGNED)
def test_read_or_refused(body: bytes, path: str, reception: Reception) -> None:
    """Every message has a result; accepted ones can be decoded; a body is refused by `InvalidEvent` or as empty, by nothing else."""
    posted = Posted("POST", path, {}, {}, body, NOW)
    try:
        parcel = DOOR.read(posted)
    except InvalidEvent as error:
        assert error.code in {"invalid_json", "too_deep"}  # noqa: PT017 - one of two good ends
        return
    except RequestRefused as error:
        assert error.code == "empty_batch"  # noqa: PT017 - as above
        return
    judged = JUDGE.judge(parcel.items, reception)
    assert [result.index for result in judged.results] == list(range(len(parcel.items)))
    for record in judged.records:
        decode_event(record.value)
    assert json.loads(DOOR.accept(posted, judged).body)["success"] is True
