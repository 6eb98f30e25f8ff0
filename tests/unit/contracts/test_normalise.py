"""The event normaliser: every rule of its docstring, on both paths into it."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from services.contracts.codec import decode_event, encode_event
from services.contracts.errors import InvalidEvent
from services.contracts.incoming import Incoming, read_items
from services.contracts.normalise import Normalised, Reception, normalise, valid_traceparent

RECEIVED = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER_TRACE = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
SERVER = Reception("shop", trusted=True, received_at=RECEIVED, new_id=lambda: "new-id")
BROWSER = SERVER._replace(source="web", trusted=False)
EVENT: dict[str, Any] = {"type": "product.added", "customer": "42"}


def _judge(door: Reception = SERVER, /, **fields: Any) -> Normalised:
    """Normalise an event with these fields, and check that the lenient path says the same."""
    body = msgspec.json.encode(EVENT | fields)
    lenient = normalise(msgspec.json.decode(body), door)
    (item,) = read_items(body)
    assert normalise(item, door) == lenient
    assert decode_event(encode_event(lenient.event)) == lenient.event
    return lenient


def _refusal(door: Reception = SERVER, /, **fields: Any) -> tuple[str, str | None]:
    """Return code and pointer of the refusal of an event with these fields, the same on both paths."""
    body = msgspec.json.encode(EVENT | fields)
    refusals = []
    for item in (msgspec.json.decode(body), read_items(body)[0]):
        with pytest.raises(InvalidEvent) as raised:
            normalise(item, door)
        refusals.append((raised.value.code, raised.value.pointer))
    assert refusals[0] == refusals[1]
    return refusals[0]


def test_a_whole_event_is_taken_over() -> None:
    """Every field of a complete event arrives in its place."""
    found = _judge(id="a1", time="2026-11-22T10:00:00+03:00", data={"price": 1.5}, source="pos", historical=True, traceparent=TRACE)
    assert found.event.id == "a1"
    assert found.event.source == "pos"
    assert found.event.subject == "42"
    assert found.event.time == datetime(2026, 11, 22, 7, tzinfo=UTC)
    assert found.event.receivedtime == RECEIVED
    assert found.event.data == {"price": 1.5}
    assert found.event.historical is True
    assert found.event.traceparent == TRACE
    assert (found.generated, found.hashed, found.clamped) == (False, False, False)


def test_the_strict_path_is_the_usual_one() -> None:
    """A usual event is decoded straight into its fields."""
    assert isinstance(read_items(msgspec.json.encode(EVENT | {"time": "2026-11-22T10:00:00Z"}))[0], Incoming)


def test_what_is_left_out_has_a_default() -> None:
    """Type and customer are enough: the id is new, the time that of receipt, the source the key's name."""
    found = _judge()
    assert (found.event.id, found.generated) == ("new-id", True)
    assert (found.event.time, found.clamped) == (RECEIVED, False)
    assert (found.event.source, found.event.data, found.event.historical) == ("shop", {}, False)


@pytest.mark.parametrize("name", ["id", "time", "data", "source", "historical", "traceparent", "subject"])
def test_null_is_left_out(name: str) -> None:
    """A field that is null is one that is left out."""
    assert _judge(SERVER, **{name: None}) == _judge()


@pytest.mark.parametrize(("given", "kept"), [("  42 ", "42"), (42, "42"), (42.0, "42"), (1.5, "1.5"), (-7, "-7"), ("Ünï 5", "Ünï 5")])
def test_ids_become_trimmed_text(given: object, kept: str) -> None:
    """Numbers become text as JavaScript writes them, and blanks around ids are dropped."""
    assert _judge(customer=given, id=given).event.subject == kept
    assert _judge(customer=given, id=given).event.id == kept


@pytest.mark.parametrize("given", ["", "   ", None])
def test_an_empty_id_is_absent(given: object) -> None:
    """An empty event id is replaced by a new one; an empty customer is a missing one."""
    assert _judge(id=given).generated is True
    assert _refusal(customer=given) == ("missing_customer", "/customer")


@pytest.mark.parametrize("given", ["null", "undefined", "None", "NaN", "ANONYMOUS", " null ", "[object Object]"])
def test_placeholders_are_refused(given: str) -> None:
    """What broken clients send for nobody is refused, in any case of letters: it would be one customer for all."""
    assert _refusal(customer=given) == ("placeholder_id", "/customer")
    assert _refusal(id=given) == ("placeholder_id", "/id")


def test_subject_is_another_word_for_customer() -> None:
    """CloudEvents' `subject` is taken; both may be given if they agree."""
    assert _judge(customer=None, subject=7).event.subject == "7"
    assert _judge(subject="42").event.subject == "42"
    assert _refusal(subject="43") == ("conflicting_customer", "/subject")


def test_customer_is_bounded() -> None:
    """A customer id of 255 characters passes, a longer one is refused."""
    assert _judge(customer="c" * 255).event.subject == "c" * 255
    assert _refusal(customer="c" * 256) == ("customer_too_long", "/customer")


def test_a_long_id_is_hashed() -> None:
    """An event id of 100 characters is kept, a longer one becomes its SHA-256, which is said."""
    assert _judge(id="i" * 100).event.id == "i" * 100
    found = _judge(id="i" * 101)
    assert (found.event.id, found.hashed) == (hashlib.sha256(b"i" * 101).hexdigest(), True)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-11-22T10:00:00Z", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("2026-11-22T10:00:00.25+05:30", datetime(2026, 11, 22, 4, 30, 0, 250_000, tzinfo=UTC)),
        ("2026-11-22T10:00Z", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        (1795341600, datetime(2026, 11, 22, 10, tzinfo=UTC)),
        (1795341600.5, datetime(2026, 11, 22, 10, 0, 0, 500_000, tzinfo=UTC)),
        (1795341600500, datetime(2026, 11, 22, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("", RECEIVED),
    ],
)
def test_times_are_read(given: object, kept: datetime) -> None:
    """ISO 8601 with an offset and Unix seconds and milliseconds mean the same moment in UTC."""
    found = _judge(time=given)
    assert (found.event.time, found.event.time.tzinfo, found.clamped) == (kept, UTC, False)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("2026-11-22T10:00:00", "naive_time"),
        ("2026-11-22", "naive_time"),
        ("yesterday", "invalid_time"),
        ("0001-01-01T00:00:00+14:00", "invalid_time"),
        (1e300, "invalid_time"),
        (-1e300, "invalid_time"),
        (True, "invalid_time"),
        ([], "invalid_time"),
    ],
)
def test_times_that_say_nothing_sure_are_refused(given: object, code: str) -> None:
    """A time without an offset would be a guess; it is refused like one that can't be read."""
    assert _refusal(time=given) == (code, "/time")


def test_future_times_are_clamped() -> None:
    """An event can't have happened after it was received: one bad clock must not fire every timer."""
    found = _judge(time="2027-01-01T00:00:00Z")
    assert (found.event.time, found.clamped) == (RECEIVED, True)
    assert _judge(time="2027-01-01T00:00:00Z", historical=True).event.time == RECEIVED


def test_old_times_are_clamped_unless_historical() -> None:
    """Thirty days back an event stands as it is, before that it is moved there; history is kept as it was."""
    month_ago = RECEIVED - timedelta(days=30)
    assert _judge(time=month_ago.isoformat()).clamped is False
    found = _judge(time=(month_ago - timedelta(microseconds=1)).isoformat())
    assert (found.event.time, found.clamped) == (month_ago, True)
    old = _judge(time="1997-01-01T00:00:00Z", historical=True)
    assert (old.event.time, old.clamped) == (datetime(1997, 1, 1, tzinfo=UTC), False)


@pytest.mark.parametrize("given", ["message.sent", "message.made_up", "povod.consent", "povod.erase", " povod.x "])
def test_our_own_types_are_refused(given: str) -> None:
    """What only Povod's services may publish can't be forged: a false `message.failed` would free a cap's slot."""
    assert _refusal(type=given) == ("reserved_type", "/type")


@pytest.mark.parametrize(
    ("given", "code"),
    [("", "missing_type"), ("  ", "missing_type"), ("t" * 129, "invalid_type"), ("a\nb", "invalid_type"), ("a\x07", "invalid_type")],
)
def test_types_are_short_and_printable(given: str, code: str) -> None:
    """A type has 1 to 128 printable characters."""
    assert _refusal(type=given) == (code, "/type")


def test_any_other_type_is_kept() -> None:
    """Types that nobody knows are taken as they are."""
    assert _judge(type=" Order Completed ").event.type == "Order Completed"
    assert _judge(type="t" * 128).event.type == "t" * 128
    assert _judge(type="message").event.type == "message"


def test_only_server_keys_are_trusted() -> None:
    """A browser key can't name another source, and can't post history."""
    assert _judge(BROWSER, source="pos").event.source == "web"
    assert _refusal(BROWSER, historical=True) == ("not_allowed", "/historical")
    assert _judge(BROWSER, historical=False).event.historical is False


def test_source_is_bounded() -> None:
    """An empty source is left out, an over-long one refused."""
    assert _judge(source="  ").event.source == "shop"
    assert _refusal(source="s" * 256) == ("invalid_source", "/source")


@pytest.mark.parametrize(
    ("given", "kept"),
    [(TRACE, TRACE), (None, OTHER_TRACE), ("", OTHER_TRACE), ("nonsense", OTHER_TRACE), (TRACE.upper(), OTHER_TRACE)],
)
def test_traceparent_is_carried(given: object, kept: str) -> None:
    """A valid one of the event's own wins over the request's; an invalid one is dropped."""
    assert _judge(SERVER._replace(traceparent=OTHER_TRACE), traceparent=given).event.traceparent == kept


@pytest.mark.parametrize(
    "text",
    [None, "", TRACE[:-1], TRACE + "-x", "ff" + TRACE[2:], "00-" + "0" * 32 + TRACE[35:], TRACE[:36] + "0" * 16 + "-01", TRACE + "\n"],
)
def test_invalid_traceparents_are_none(text: str | None) -> None:
    """Zero ids, version ff, cut or continued values are not W3C Trace Context."""
    assert valid_traceparent(text) is None


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"customer": ["a"]}, ("invalid_customer", "/customer")),
        ({"customer": True}, ("invalid_customer", "/customer")),
        ({"id": {"a": 1}}, ("invalid_id", "/id")),
        ({"type": 5}, ("invalid_type", "/type")),
        ({"data": [1]}, ("invalid_data", "/data")),
        ({"data": "text"}, ("invalid_data", "/data")),
        ({"historical": "yes"}, ("invalid_historical", "/historical")),
        ({"source": 5}, ("invalid_source", "/source")),
        ({"traceparent": 5}, ("invalid_traceparent", "/traceparent")),
        ({"properties": {}}, ("unknown_field", "/properties")),
        ({"a/b": 1}, ("unknown_field", "/a~1b")),
    ],
)
def test_wrong_fields_are_named(fields: dict[str, object], refusal: tuple[str, str]) -> None:
    """A field of a wrong kind, and one that does not exist, is refused with its name and place."""
    assert _refusal(SERVER, **fields) == refusal


@pytest.mark.parametrize(
    ("field", "meant"),
    [("properties", "'data'"), ("event", "'type'"), ("userId", "'customer'"), ("custmer", "'customer'"), ("tiem", "'time'")],
)
def test_unknown_fields_come_with_a_suggestion(field: str, meant: str) -> None:
    """The message of an unknown field says which one was meant."""
    with pytest.raises(InvalidEvent, match=f"did you mean {meant}"):
        normalise(EVENT | {field: 1}, SERVER)


def test_attributes_of_cloudevents_are_allowed() -> None:
    """`specversion`, `datacontenttype` and `dataschema` may stand in an event; they change nothing."""
    assert _judge(specversion="1.0", datacontenttype="application/json", dataschema="urn:x") == _judge()
    assert normalise(EVENT | {"specversion": 1}, SERVER) == _judge()


@pytest.mark.parametrize("item", [5, "text", None, [EVENT], True])
def test_only_objects_are_events(item: object) -> None:
    """Whatever else stands in a batch is refused."""
    with pytest.raises(InvalidEvent) as raised:
        normalise(item, SERVER)
    assert (raised.value.code, raised.value.pointer) == ("not_an_object", "")


def test_dirty_events_are_cleaned() -> None:
    """NUL, lone surrogates and infinities are cleaned in ids, type, keys and values."""
    (item,) = read_items(b'{"type": "a\\u0000", "customer": "4\\u00002", "id": "\\ud83d", "data": {"k\\u0000": [NaN, 1e400, "\\ude00"]}}')
    event = normalise(item, SERVER).event
    assert (event.type, event.subject, event.id, event.data) == ("a", "42", "�", {"k": [None, None, "�"]})
    assert decode_event(encode_event(event)) == event


def test_integers_over_64_bits_keep_their_digits() -> None:
    """An over-long integer becomes text, as a value and as an id."""
    (item,) = read_items(b'{"type": "a", "customer": 99999999999999999999, "data": {"n": 99999999999999999999}}')
    event = normalise(item, SERVER).event
    assert (event.subject, event.data) == ("99999999999999999999", {"n": "99999999999999999999"})
