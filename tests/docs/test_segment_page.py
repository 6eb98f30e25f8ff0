"""`docs/doors/segment.md` is true: its answer is what the door answers, and its codes are codes of the door."""

import json
from collections.abc import Mapping

import pytest

from services.contracts.aliases import load_aliases
from services.contracts.catalogue import load_catalogue
from services.ingest.doors.segment import SegmentDoor
from services.ingest.judge import Judge
from tests.docs.blocks import ROOT, blocks
from tests.door_requests import SERVER, posted

DOOR = SegmentDoor(lambda: load_aliases("segment", "b2b"))
GOOD = {"type": "track", "event": "Wink", "userId": "42"}


def _answer(*messages: Mapping[str, object]) -> dict[str, object]:
    request = posted("/v1/batch", {"batch": messages})
    judged = Judge(load_catalogue(), 65_536).judge(DOOR.read(request).items, SERVER)
    found: dict[str, object] = json.loads(DOOR.accept(request, judged).body)
    return found


def test_answer_is_the_page_s() -> None:
    """The answer on the page is the door's to a good message, one without an event's name, and one that is too old."""
    (shown,) = [block.body for block in blocks("json") if block.page.name == "segment.md"]
    nameless, old = {"type": "track", "userId": "42"}, GOOD | {"messageId": "m3", "timestamp": "2020-01-01T00:00:00Z"}
    assert json.loads(shown) == _answer(GOOD | {"messageId": "m1"}, nameless, old)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "track", "userId": "42"}, "missing_event"),
        ({"userId": "42"}, "unknown_type"),
        ({"type": "alias"}, "missing_customer"),
        ({"type": "group", "userId": "42"}, "missing_group"),
        (GOOD | {"userId": "undefined"}, "placeholder_id"),
        (GOOD | {"event": "Product Viewed", "properties": {"price": "12"}}, "schema"),
    ],
)
def test_mistake_has_its_code(message: dict[str, object], code: str) -> None:
    """Each mistake of the page's table is answered with its code."""
    rejected = _answer(message)["rejected"]
    assert isinstance(rejected, list)
    assert [each["code"] for each in rejected] == [code]
    assert f"| `{code}` |" in (ROOT / "docs" / "doors" / "segment.md").read_text(encoding="utf-8")
