"""`docs/events.md` is true: its events are accepted, its mistakes are rejected as it says, its errors are all there are."""

import json
import re
from datetime import UTC, datetime

import pytest

from services.contracts.errors import InvalidEvent
from services.contracts.incoming import read_items
from services.contracts.normalise import Reception, normalise
from services.ingest.refusals import STATUS
from tests.docs.blocks import ROOT, Block, blocks

PAGE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
DOOR = Reception("shop", trusted=True, received_at=datetime(2026, 11, 22, 12, tzinfo=UTC), new_id=lambda: "new")
REJECTED = re.findall(r"^\| `(\{.*\})` \| `(\w+)` \|$", PAGE, re.MULTILINE)
ERRORS = {
    code: int(status)
    for status, codes in re.findall(r"^\| (\d{3}) \| ([^|]+) \|", PAGE, re.MULTILINE)
    for code in re.findall(r"`(\w+)`", codes)
}


@pytest.mark.parametrize("block", [block for block in blocks("json") if block.what == "event"], ids=str)
def test_events_are_accepted(block: Block) -> None:
    """An event shown as good is accepted as it stands."""
    (item,) = read_items(block.body.encode())
    assert normalise(item, DOOR).event.type == json.loads(block.body)["type"]


@pytest.mark.parametrize(("text", "code"), REJECTED)
def test_mistakes_are_rejected_as_said(text: str, code: str) -> None:
    """An event shown as a mistake is rejected with the code beside it."""
    (item,) = read_items(text.encode())
    with pytest.raises(InvalidEvent) as caught:
        normalise(item, DOOR)
    assert caught.value.code == code


def test_the_table_of_errors_is_complete() -> None:
    """Every error of a whole request is in the table, with its status."""
    assert dict(STATUS) == ERRORS
