"""The write key of a request."""

import base64

import pytest

from services.ingest.credentials import secret_of
from services.ingest.refusals import RequestRefused


def _basic(text: bytes) -> bytes:
    return b"Basic " + base64.b64encode(text)


@pytest.mark.parametrize(
    "header",
    [b"Bearer sk_1", b"bearer  sk_1 ", _basic(b"sk_1:"), _basic(b"sk_1:password"), _basic(b"sk_1"), b"basic " + base64.b64encode(b"sk_1:")],
)
def test_a_key_is_found(header: bytes) -> None:
    """A bearer token and the user of Basic credentials are the key; the password does not matter, nor does the scheme's case."""
    assert secret_of(header) == "sk_1"


@pytest.mark.parametrize("header", [None, b"", b"Bearer", b"Bearer ", b"Digest sk_1", b"Basic !!!", _basic(b":password"), b"\xff\xfe"])
def test_no_key_is_unauthorized(header: bytes | None) -> None:
    """A request without a key that can be read is refused with 401."""
    with pytest.raises(RequestRefused) as raised:
        secret_of(header)
    assert raised.value.code == "unauthorized"


def test_strange_bytes_are_a_key_like_any_other() -> None:
    """Bytes outside ASCII make a key that nobody has, not a crash."""
    assert secret_of(b"Bearer \xff\xd0") == "\xff\xd0"
