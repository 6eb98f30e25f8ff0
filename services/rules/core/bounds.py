"""Sizes of what the document keeps: values come from outside and must not grow it without end."""

import hashlib
from typing import Any

import msgspec

MAX_DATA_BYTES = 16 * 1024
"""Encoded size of an enrolling event's data in the document, and of each part of a message's context."""
MAX_KEY_CHARACTERS = 255
LEFT_OUT = "left_out"
"""The field that names what was too big to keep."""

_encoder = msgspec.json.Encoder(order="sorted")
_plain_encoder = msgspec.json.Encoder()


def size_of(value: Any) -> int:
    """Return the encoded size in bytes."""
    return len(_encoder.encode(value))


def fit_encoded(data: dict[str, Any]) -> tuple[msgspec.Raw, bool]:
    """Return the JSON of what `fit` returns, with the fields in their own order, and whether nothing was left out."""
    encoded = _plain_encoder.encode(data)
    is_whole = len(encoded) <= MAX_DATA_BYTES
    return msgspec.Raw(encoded if is_whole else _plain_encoder.encode(fit(data))), is_whole


def fit(data: dict[str, Any], limit: int = MAX_DATA_BYTES) -> dict[str, Any]:
    """Return the data, without its biggest values where it is over the limit; `left_out` then names (at most 20 of) them."""
    if size_of(data) <= limit:
        return data
    sizes = {name: size_of(name) + size_of(value) + 2 for name, value in data.items()}
    total, budget = sum(sizes.values()), limit - 1_024
    gone: set[str] = set()
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        if total <= budget:
            break
        total -= sizes[name]
        gone.add(name)
    kept = {name: value for name, value in data.items() if name not in gone}
    return {**kept, LEFT_OUT: sorted(name[:40] for name in gone)[:20]}


def key_text(value: Any) -> str:
    """Return an enrolment key in its one stored form: 5 and 5.0 are the same key, long ones are named by their SHA-256."""
    text = value if isinstance(value, str) else _canonical(value)
    return text if len(text) <= MAX_KEY_CHARACTERS else f"sha256:{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"


def _canonical(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return _encoder.encode(value).decode()
