"""The last events of each key, kept cheaply and in bounds."""

import json
import weakref
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from services.contracts.catalogue import Catalogue
from services.contracts.incoming import read_items
from services.contracts.normalise import Reception
from services.ingest.doors.port import Posted
from services.ingest.intake import Taken
from services.ingest.judge import Judge
from services.ingest.keys import WriteKey
from services.ingest.recent import LIMIT, MAX_BYTES, MAX_KEYS, Recent
from services.ingest.refusals import RequestRefused

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def _note(recent: Recent, *events: Any, key: str = "shop", at: datetime = NOW) -> None:
    """Take events in as the intake does."""
    body = json.dumps(events).encode()
    reception = Reception(key, trusted=True, received_at=at, new_id=lambda: "new-id")
    judged = Judge(Catalogue({}), 65_536).judge(read_items(body), reception)
    recent.note(key, "events", Posted("POST", "/v1/events", {}, {}, body, at), judged, len(body))


def _event(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {"type": "page.viewed", "customer": "42", "id": f"e{number}"} | fields


def _ids(recent: Recent, key: str | None = None, limit: int = LIMIT) -> Sequence[str | None]:
    return [seen.id for seen in recent.seen(key, limit)]


def test_an_event_is_shown_with_what_became_of_it() -> None:
    """Accepted, repeated and rejected events each say who, what and why; the last of a request comes first."""
    recent = Recent()
    _note(recent, _event(1, time="1999-01-01T00:00:00Z"), {"customer": 43, "event": "Order Done"}, _event(1))
    repeated, rejected, accepted = recent.seen("shop")
    assert (accepted.status, accepted.type, accepted.customer, accepted.id, accepted.notes) == (
        "accepted",
        "page.viewed",
        "42",
        "e1",
        ["clamped"],
    )
    assert (accepted.at, accepted.key, accepted.door) == (NOW, "shop", "events")
    assert (rejected.status, rejected.type, rejected.customer) == ("rejected", "Order Done", "43")
    assert (rejected.code, rejected.pointer) == ("unknown_field", "/event")
    assert (repeated.status, repeated.type, repeated.customer, repeated.id) == ("duplicate_in_request", "page.viewed", "42", "e1")


def test_what_was_left_out_is_shown() -> None:
    """An address that is none is a warning beside the accepted event."""
    recent = Recent()
    _note(recent, {"type": "customer.identified", "customer": "42", "data": {"phone": "?"}})
    (seen,) = recent.seen("shop")
    assert (seen.status, seen.notes, seen.warnings) == ("accepted", ["generated"], ["/data/phone is no phone number; it was left out"])


def test_a_refused_request_is_shown_too() -> None:
    """A request that was refused whole stands under its key, or under none where that is not known."""
    recent = Recent()
    recent.note_refused("", "segment", NOW, RequestRefused("unauthorized", "who?"))
    (seen,) = recent.seen("")
    assert (seen.key, seen.door, seen.status, seen.code, seen.message) == ("", "segment", "refused", "unauthorized", "who?")


def test_a_refused_request_is_not_kept() -> None:
    """Of a refused request only the words of the refusal stay: its error is let go, with all that hangs on the traceback."""
    recent, error = Recent(), RequestRefused("invalid_json", "the body is no JSON")
    kept = weakref.ref(error)
    recent.note_refused("shop", "events", datetime(2026, 3, 2, 9, tzinfo=UTC), error)
    del error
    assert kept() is None
    assert [seen.message for seen in recent.seen()] == ["the body is no JSON"]


def test_rejected_bytes_of_any_shape_are_shown() -> None:
    """What was no object, or too deep to be kept, is a line without type and customer."""
    recent = Recent()
    _note(recent, 5, "x", None, [1])
    assert [(seen.status, seen.type, seen.customer, seen.code) for seen in recent.seen("shop")] == [
        ("rejected", None, None, "not_an_object")
    ] * 4


def test_newest_first_and_no_more_than_asked_for() -> None:
    """Of one key or of all, the newest come first, as many as asked for."""
    recent = Recent()
    for number in range(4):
        _note(recent, _event(number), key="web" if number % 2 else "shop", at=NOW + timedelta(seconds=number))
    assert _ids(recent) == ["e3", "e2", "e1", "e0"]
    assert _ids(recent, limit=2) == ["e3", "e2"]
    assert _ids(recent, "shop") == ["e2", "e0"]
    assert _ids(recent, "nobody") == []


def test_a_hundred_events_are_kept_of_a_key() -> None:
    """The oldest go when there are more, in one request or in many; other keys keep theirs."""
    recent = Recent()
    _note(recent, _event(9), key="web")
    _note(recent, *(_event(number) for number in range(250)))
    assert _ids(recent, "shop") == [f"e{number}" for number in range(249, 149, -1)]
    for number in range(300, 350):
        _note(recent, _event(number), at=NOW + timedelta(seconds=1))
    assert set(_ids(recent, "shop")) == {f"e{number}" for number in [*range(300, 350), *range(200, 250)]}
    assert _ids(recent, "web") == ["e9"]


def test_a_tail_finds_its_own_records() -> None:
    """Where only the last results of a request are kept, each still has its own type, customer and reason."""
    recent = Recent()
    events = [
        _event(number, customer=f"c{number}") if number % 3 else {"type": "message.sent", "customer": f"c{number}"} for number in range(200)
    ]
    _note(recent, *events)
    seen = recent.seen("shop")
    assert [each.customer for each in seen] == [f"c{number}" for number in range(199, 99, -1)]
    assert [each.status for each in seen] == ["accepted" if number % 3 else "rejected" for number in range(199, 99, -1)]


def test_bytes_are_bounded() -> None:
    """Large events push older ones out; a single one is kept whatever its size."""
    recent = Recent()
    for number in range(20):
        _note(recent, _event(number, data={"text": "x" * 60_000}))
    assert len(_ids(recent, "shop")) == MAX_BYTES // 60_000
    _note(recent, *(_event(number, data={"text": "x" * 60_000}) for number in range(100, 120)))
    kept = recent._shelves["shop"]
    assert len(_ids(recent, "shop")) == 4
    assert sum(len(record.value) for noted in kept.noted for record in noted.records) <= MAX_BYTES


def test_what_a_batch_says_once_counts_in_each_event() -> None:
    """Events that are larger than the request was, by what it says of all of them, are kept in the same bounds."""
    recent = Recent()
    items = [_event(number, data={"text": "x" * 60_000}) for number in range(20)]
    judged = Judge(Catalogue({}), 65_536).judge(items, Reception("shop", trusted=True, received_at=NOW, new_id=lambda: "new-id"))
    posted = Posted("POST", "/v1/batch", {}, {}, b"x" * 61_000, NOW)
    taken = Taken(posted, WriteKey("shop", trusted=True), judged, sum(len(record.value) for record in judged.records) - len(posted.body))
    recent.note("shop", "segment", posted, judged, taken.size)
    assert _ids(recent, "shop") == ["e19", "e18", "e17", "e16"]


def test_the_longest_silent_key_is_forgotten() -> None:
    """So many keys are remembered and no more; who posts stays."""
    recent = Recent()
    for number in range(MAX_KEYS):
        _note(recent, _event(number), key=f"key {number}")
    _note(recent, _event(), key="key 0")
    _note(recent, _event(), key="newest")
    assert _ids(recent, "key 1") == []
    assert _ids(recent, "key 0") == ["e1", "e0"]
    assert len(recent.seen(limit=1_000)) == MAX_KEYS + 1


def test_an_empty_request_leaves_nothing() -> None:
    """A request without events is not remembered."""
    recent = Recent()
    _note(recent)
    assert recent.seen() == []
