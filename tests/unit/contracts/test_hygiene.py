"""Parsed JSON made safe for every store."""

from typing import Any

import pytest

from services.contracts.errors import InvalidEvent
from services.contracts.hygiene import MAX_DEPTH, MAX_VALUES, clean_object, clean_text, pointer_of


def _nested(levels: int) -> dict[str, Any]:
    """Return an object that is `levels` deep."""
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain", "plain"),
        ("a\0b", "ab"),
        ("Чай\0ник", "Чайник"),
        ("\ud83d", "�"),
        ("a\ude00\ud83db", "a��b"),
        ("\ud83d\ude00", "😀"),
        ("😀", "😀"),
        ("\0\ud83d\0", "�"),
    ],
)
def test_text_is_cleaned(text: str, cleaned: str) -> None:
    """NUL is dropped, a lone surrogate becomes U+FFFD, a pair becomes its character, all else stays."""
    assert clean_text(text) == cleaned
    assert clean_text(text).encode().decode() == cleaned


def test_values_are_cleaned_at_any_depth() -> None:
    """Texts, keys and infinities are cleaned wherever they stand; other values stay as they are."""
    dirty = {"a\0": ["\0x", {"b": float("inf"), "c": float("nan")}], "d": [True, None, 5, 1.5, [], {}], "e": [2**63, -(2**63)]}
    clean = {"a": ["x", {"b": None, "c": None}], "d": [True, None, 5, 1.5, [], {}], "e": [str(2**63), -(2**63)]}
    assert clean_object(dirty) == clean


def test_what_was_given_is_left_alone() -> None:
    """The original is not changed."""
    dirty = {"a": ["\0"]}
    clean_object(dirty)
    assert dirty == {"a": ["\0"]}


def test_depth_is_bounded() -> None:
    """Thirty-two levels pass, one more is refused with a pointer to the field."""
    assert clean_object(_nested(MAX_DEPTH)) == _nested(MAX_DEPTH)
    with pytest.raises(InvalidEvent) as raised:
        clean_object(_nested(MAX_DEPTH + 1))
    assert (raised.value.code, raised.value.pointer) == ("too_deep", "/a")


def test_keys_are_bounded() -> None:
    """A key of 255 characters passes, a longer one is refused with a pointer to the field."""
    assert clean_object({"a": {"k" * 255: 1}}) == {"a": {"k" * 255: 1}}
    with pytest.raises(InvalidEvent) as raised:
        clean_object({"a": [{"k" * 256: 1}]})
    assert (raised.value.code, raised.value.pointer) == ("key_too_long", "/a")


def test_the_walk_is_bounded() -> None:
    """An event of more values than any accepted size can hold is refused without being walked to its end."""
    assert len(clean_object({"a": [0] * MAX_VALUES})["a"]) == MAX_VALUES
    with pytest.raises(InvalidEvent) as raised:
        clean_object({"a": [0] * (MAX_VALUES + 1)})
    assert (raised.value.code, raised.value.pointer) == ("event_too_large", "/a")


def test_pointer_is_escaped() -> None:
    """A pointer follows RFC 6901, and is itself clean and short."""
    assert pointer_of(["a/b", "c~d", "0", "\ud83d", "k" * 300]) == f"/a~1b/c~0d/0/�/{'k' * 255}"
