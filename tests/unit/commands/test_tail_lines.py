"""How a record is shown."""

import json
from datetime import UTC, datetime
from typing import Any

from services.commands.tail_lines import fields_of, line_of
from services.runtime.eventlog.port import Record


def _record(value: bytes | dict[str, Any], key: bytes | None = b"ann") -> Record:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Record("povod.events", 3, 7, key, content, (), datetime(2026, 11, 22, 12, 30, 5, tzinfo=UTC))


def test_a_line_begins_with_what_it_is() -> None:
    """Type, customer, source and id come first; what every event has is left out."""
    event = {
        "id": "e1",
        "type": "order.completed",
        "source": "shop",
        "subject": "ann",
        "specversion": "1.0",
        "historical": False,
        "data": {"total": 5},
    }
    assert line_of(fields_of(_record(event), full=False)) == '12:30:05  order.completed  ann  shop  e1  {"data":{"total":5}}'


def test_a_dead_letter_says_why_it_is_one() -> None:
    """Reason, sentence and write key come first, masked like the rest; programs get them under `why`."""
    headers = (("reason", b"placeholder_id"), ("error", b"'ann@shop.example' is nobody"), ("source", b"shop"), ("at", b"2026-11-22"))
    record = _record({"type": "x"})._replace(topic="povod.events.dlq", headers=headers)
    fields = fields_of(record, full=False)
    assert fields["why"] == {"reason": "placeholder_id", "error": "'a***@shop.example' is nobody", "source": "shop"}
    assert line_of(fields) == "12:30:05  placeholder_id  'a***@shop.example' is nobody  shop  x"
    assert fields_of(record, full=True)["why"]["error"] == "'ann@shop.example' is nobody"
    assert line_of(fields_of(record._replace(value=b"\xff"), full=False)).endswith("  shop  no JSON object, 1 bytes, key ann")


def test_persons_of_rejected_events_are_masked_too() -> None:
    """A rejected event lies there as its client sent it: traits of Segment's, properties and `$set` of PostHog's."""
    theirs = {"event": "x", "traits": {"name": "Ann", "plan": "pro"}, "properties": {"email": "ann@shop.example", "$set": {"name": "Ann"}}}
    value = fields_of(_record(theirs)._replace(topic="povod.events.dlq"), full=False)["value"]
    assert value["traits"] == {"name": "***", "plan": "pro"}
    assert value["properties"] == {"email": "a***@shop.example", "$set": {"name": "***"}}


def test_a_long_line_is_cut() -> None:
    """A line has at most 400 characters; the JSON of a record is whole."""
    event = {"type": "x", "data": {"text": "y" * 1_000}}
    fields = fields_of(_record(event), full=False)
    assert (len(line_of(fields)), line_of(fields)[-1]) == (400, "…")
    assert fields["value"] == event


def test_a_record_can_not_command_the_terminal() -> None:
    """Control characters of hostile events are blanks in a line."""
    line = line_of(fields_of(_record({"type": "x\u001b[2J", "subject": "a\nb", "data": {"t": "\u009b1m\u202e"}}), full=True))
    assert "\x1b" not in line
    assert "\n" not in line
    assert line.isprintable()


def test_persons_are_masked_unless_asked_for() -> None:
    """E-mail addresses as keys and subjects, names and addresses in traits, the values of a template: all masked."""
    event = {
        "type": "customer.identified",
        "subject": "ann@shop.example",
        "data": {"name": "Ann", "context": {"ip": "1.2.3.4", "page": "/"}, "_phone": "1"},
    }
    fields = fields_of(_record(event, b"ann@shop.example"), full=False)
    assert fields["key"] == "a***@shop.example"
    assert fields["value"]["subject"] == "a***@shop.example"
    assert fields["value"]["data"] == {"name": "***", "context": {"ip": "***", "page": "/"}, "_phone": "1***"}
    assert fields_of(_record(event, b"ann@shop.example"), full=True)["value"] == event


def test_what_is_no_object_is_shown_by_its_size() -> None:
    """Bytes, other JSON, bottomless nesting and a record without a key are lines too."""
    for value in (b"\xff", b"[1]", b"", b"[" * 100_000):
        assert line_of(fields_of(_record(value, None), full=False)) == f"12:30:05  no JSON object, {len(value)} bytes, key "
