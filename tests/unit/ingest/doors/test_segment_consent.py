"""What consent managers say through Segment's and RudderStack's clients."""

from typing import Any

import pytest

from services.contracts.aliases import load_aliases
from services.contracts.incoming import Incoming
from services.ingest.doors.segment import SegmentDoor
from tests.door_requests import posted

DOOR = SegmentDoor(lambda: load_aliases("segment", "b2b"))


@pytest.mark.parametrize(
    ("context", "kept"),
    [
        (
            {"consent": {"categoryPreferences": {"Advertising": True, "Analytics": False}, "version": 2}},
            {"consent": {"categoryPreferences": {"Advertising": True, "Analytics": False}}},
        ),
        (
            {"consentManagement": {"provider": "oneTrust", "allowedConsentIds": ["C1", "C4", 7], "deniedConsentIds": ["C4"]}},
            {"consent": {"categoryPreferences": {"C1": True, "C4": False}}},
        ),
        ({"consentManagement": {"allowedConsentIds": 1}, "locale": "ru"}, {"locale": "ru"}),
        ({"consentManagement": "C4", "locale": "ru"}, {"locale": "ru"}),
    ],
)
def test_what_a_consent_manager_says_is_kept(context: dict[str, Any], kept: dict[str, Any]) -> None:
    """Segment's category preferences are kept as they are, RudderStack's lists in the same form, where what is denied wins."""
    (item,) = DOOR.read(posted("/v1/track", {"event": "x", "userId": "u1", "context": context})).items
    assert isinstance(item, Incoming)
    assert item.data == {"context": kept}
