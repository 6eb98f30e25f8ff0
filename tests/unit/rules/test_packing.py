"""Documents as their rows hold them."""

import pytest

from services.contracts.errors import Rejected
from services.rules.packing import SMALL, pack, unpack


@pytest.mark.parametrize("size", [1, SMALL, SMALL + 1, 100_000])
def test_what_is_packed_can_be_unpacked(size: int) -> None:
    """Small documents stay readable JSON, large ones shrink; both come back as they were."""
    document = b'{"a":"' + b"x" * size + b'"}'
    stored = pack(document)
    assert unpack(stored) == document
    assert stored.startswith("{") is (len(document) <= SMALL)
    assert len(stored) <= len(document)


@pytest.mark.parametrize("stored", ["", "not base64!", "AAAA", "gibberish"])
def test_what_was_not_packed_is_refused(stored: str) -> None:
    """A damaged row is told as such."""
    with pytest.raises(Rejected):
        unpack(stored)
