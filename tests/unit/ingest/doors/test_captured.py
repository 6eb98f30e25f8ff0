"""Requests recorded from the real clients of CloudEvents and Customer.io's Track API, line by line."""

import json
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from services.contracts.catalogue import Catalogue
from services.contracts.codec import decode_event
from services.ingest.doors.cloudevents import CloudEventsDoor
from services.ingest.doors.customerio_track import CustomerioTrackDoor
from services.ingest.doors.port import Door
from services.ingest.judge import Judge
from services.ingest.refusals import RequestRefused
from tests.door_requests import SERVER, posted

FOLDER = Path("tests/fixtures/doors")
JUDGE = Judge(Catalogue({}), 65_536)
NUMBERS = count()


def _recorded(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def _outcome(door: Door, recorded: dict[str, Any]) -> list[str]:
    """Return what became of a request: its events and who they are about, codes of rejections, or of its refusal."""
    request = posted(unquote(recorded["path"]), recorded["body"].encode(), recorded["headers"])._replace(method=recorded["method"])
    try:
        judgement = JUDGE.judge(door.read(request).items, SERVER._replace(new_id=lambda: f"new-{next(NUMBERS)}"))
    except RequestRefused as error:
        return [error.code]
    events = [decode_event(record.value) for record in judgement.records]
    return [f"{event.type} {event.subject}" for event in events] + [reject.code for reject in judgement.rejects]


def test_cloudevents() -> None:
    """Python's and JavaScript's requests are read in both modes; bytes of nobody's and a text are rejected."""
    outcomes = [_outcome(CloudEventsDoor(), recorded) for recorded in _recorded("cloudevents")]
    assert outcomes == [["product.added u1"]] * 6 + [["missing_customer"], ["invalid_json"]]


def test_customerio_track() -> None:
    """Each of the client's calls becomes what it should, but for two that are not done."""
    door = CustomerioTrackDoor()
    recorded = _recorded("customerio_track")
    assert [_outcome(door, each) for each in recorded] == [
        ["customer.identified u 1/ю"],
        ["order.completed u1"],
        ["product.viewed anon1"],
        ["page.viewed u1"],
        ["customer.registered u1"],
        ["customer.identified u1"],
        ["not_supported"],
        ["not_supported"],
        ["customer.identified u1"],
        ["customer.identified u1"],
        ["customer.identified a@b.ru"],
        ["customer.identified u1", "x u1"],
    ]
