"""How the bytes of a request become a list of events."""

import json
from typing import Any

import pytest

from services.contracts.errors import InvalidEvent
from services.contracts.incoming import MOST_ITEMS, Incoming, Unreadable, read_items

EVENT = {"type": "product.added", "customer": "42", "data": {"price": 1.5}}


def _nested(levels: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return {**EVENT, "data": {"a": value}}


@pytest.mark.parametrize("posted", [EVENT, [EVENT], {"batch": [EVENT]}], ids=["one", "array", "batch"])
def test_three_shapes_hold_the_same_event(posted: Any) -> None:
    """One event, an array and an object with a batch give the same event, decoded strictly."""
    (item,) = read_items(json.dumps(posted).encode())
    assert isinstance(item, Incoming)
    assert (item.type, item.customer, item.data) == ("product.added", "42", {"price": 1.5})


def test_order_is_kept() -> None:
    """Events come out in the order of the request."""
    items = read_items(json.dumps([{**EVENT, "customer": str(i)} for i in range(5)]).encode())
    assert [item.customer for item in items if isinstance(item, Incoming)] == ["0", "1", "2", "3", "4"]


def test_batch_with_other_fields_is_still_a_batch() -> None:
    """What SDKs write beside `batch` does not matter."""
    (item,) = read_items(json.dumps({"batch": [EVENT], "sentAt": "2026-11-22T10:00:00Z", "writeKey": "k"}).encode())
    assert item == EVENT


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        (b"NaN", None),
        (b"-Infinity", None),
        (b"1e400", float("inf")),
        (b'"\\ud83d"', "\ud83d"),
        (b'"\\u0000"', "\0"),
        (b'"\x01\n"', "\x01\n"),
        (b'"\xff"', "�"),
        (b"9223372036854775807", 9223372036854775807),
        (b"9223372036854775808", 9223372036854775808),
        (b"-9223372036854775809", -9223372036854775809),
        (b"1" * 5000, "1" * 5000),
        (b"1.5", 1.5),
    ],
)
def test_what_strict_parsers_refuse_is_read(value: bytes, parsed: Any) -> None:
    """Values that need cleaning take the lenient path instead of refusing the request; giant integers keep their digits."""
    (item,) = read_items(b'{"type": "a", "customer": "1", "data": {"v": %s}}' % value)
    assert not isinstance(item, Unreadable)
    data = item.data if isinstance(item, Incoming) else item["data"]
    assert data == {"v": parsed}


@pytest.mark.parametrize("digits", [99, 100, 999, 4_299, 4_300, 20_000])
def test_long_integers_are_read_whatever_their_length(digits: int) -> None:
    """Beside something that strict parsers refuse, an integer of many digits is its value or its digits, and text of digits stays text."""
    (item,) = read_items(b'{"type": "a", "data": {"n": NaN, "v": %s, "t": "%s"}}' % (b"9" * digits, b"8" * digits))
    assert isinstance(item, dict)
    assert item["data"] == {"n": None, "v": "9" * digits if digits >= 100 else int("9" * digits), "t": "8" * digits}


@pytest.mark.parametrize("form", [b"[%s]", b'{"batch": [%s]}'])
def test_more_events_than_a_request_can_have_are_refused(form: bytes) -> None:
    """Up to the limit they are read, be they full of objects; beyond it the request is refused."""
    assert len(read_items(form % b",".join([b'{"type":"a","data":{"v":{}}}'] * MOST_ITEMS))) == MOST_ITEMS
    with pytest.raises(InvalidEvent, match=f"at most {MOST_ITEMS} events, not {MOST_ITEMS + 1}") as refused:
        read_items(form % b",".join([b"{}"] * (MOST_ITEMS + 1)))
    assert refused.value.code == "batch_too_large"
    with pytest.raises(InvalidEvent, match=f"at most {MOST_ITEMS} events, not {3 * MOST_ITEMS}"):  # long enough to be counted before
        read_items(form % b",".join([b'{"type": "a"}'] * (3 * MOST_ITEMS)))


def test_byte_order_mark_is_skipped() -> None:
    """A UTF-8 byte order mark in front of the JSON does no harm."""
    (item,) = read_items(b"\xef\xbb\xbf" + json.dumps(EVENT).encode())
    assert item == EVENT


def test_of_double_keys_the_last_counts() -> None:
    """A key that comes twice has its last value, on both paths."""
    assert read_items(b'{"type": "a", "type": "b"}')[0] == read_items(b'{"type": "b"}')[0]
    assert read_items(b'{"type": "a", "type": "b", "data": NaN}') == ({"type": "b", "data": None},)


@pytest.mark.parametrize(("levels", "strict"), [(4, True), (5, False), (40, False)])
def test_deep_events_take_the_lenient_path(levels: int, strict: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Data of usual depth is decoded strictly; deeper data is left for the walk that counts."""
    (item,) = read_items(json.dumps(_nested(levels)).encode())
    assert isinstance(item, Incoming) is strict


@pytest.mark.parametrize("key_length", [255, 256])
def test_over_long_keys_take_the_lenient_path(key_length: int) -> None:
    """A key of 255 characters is decoded strictly, a longer one is left for the walk that refuses it."""
    (item,) = read_items(json.dumps({**EVENT, "data": {"a": [{"k" * key_length: 1}]}}).encode())
    assert isinstance(item, Incoming) is (key_length == 255)


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"type": "a"} x', b"\x00", b'"a"', b"5", b"null"])
def test_a_body_that_holds_no_events_is_refused(body: bytes) -> None:
    """What is no JSON, or neither an object nor an array, is refused as a whole."""
    with pytest.raises(InvalidEvent) as raised:
        read_items(body)
    assert raised.value.code == "invalid_json"


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_endless_nesting_is_refused(opening: bytes) -> None:
    """A hundred thousand opening brackets are an error of the client's, not a crash of ours."""
    with pytest.raises(InvalidEvent) as raised:
        read_items(opening * 100_000)
    assert raised.value.code == "too_deep"


def test_an_empty_array_holds_nothing() -> None:
    """An empty array is no error here: the door says what it thinks of it."""
    assert list(read_items(b"[]")) == []


def test_a_batch_that_is_no_array_is_one_strange_event() -> None:
    """`batch` must hold an array; otherwise the object is taken for an event, and will be refused as one."""
    assert read_items(b'{"batch": 5}') == ({"batch": 5},)
