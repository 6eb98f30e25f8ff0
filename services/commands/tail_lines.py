"""How `povod tail` shows a record: as fields for programs, as a line for people; masked unless everything is asked for."""

from collections.abc import Mapping
from typing import Any

import msgspec

from services.contracts.topics import DEAD_LETTERS
from services.runtime.eventlog.port import Record
from services.runtime.telemetry.redaction import HIDDEN, mask, redacted

_LONGEST_LINE = 400
_NAMES = frozenset({"name", "full_name", "fullname", "username", "ip", "birthday", "address"})
"""Fields of a customer's traits that say who he is, beside those that are masked everywhere."""
_THEIRS = ("traits", "properties", "$set", "attributes")
"""Where other libraries' events say who somebody is."""
_HEAD = (
    "type",
    "command",
    "subject",
    "customer",
    "channel",
    "recipient",
    "template",
    "journey",
    "step",
    "reason",
    "source",
    "id",
    "message_id",
)
"""What a line begins with, as far as the record has it."""
_WHY = ("reason", "error", "source", "source-topic")
"""Headers of a dead letter."""
_LEFT_OUT = frozenset(
    {"specversion", "datacontenttype", "traceparent", "receivedtime", "historical", "time", "decided_at", "windows", "ruleset"}
)


def fields_of(record: Record, *, full: bool) -> dict[str, Any]:
    """Return where a record lies, when it came, its key and its value; a value that is no JSON object is shown by its size only.

    Of a dead letter also `why` it is one.
    """
    value = _read(record.value)
    shown: Any = value if full else _masked(value) if value is not None else None
    key = (record.key or b"").decode("utf-8", "replace")
    fields = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "appended_at": record.appended_at.isoformat(),
        "key": key if full else mask(key),
    }
    if record.topic.endswith(DEAD_LETTERS):
        fields["why"] = _why(record, full=full)
    return fields | ({"undecodable": len(record.value)} if value is None else {"value": shown})


def line_of(fields: Mapping[str, Any]) -> str:
    """Return the line for people: when it came, what it is, who and why; then the data, cut where it grows long."""
    at = str(fields["appended_at"])[11:19]
    value = fields.get("value")
    at += "".join(f"  {_flat(each)}" for each in fields.get("why", {}).values())
    if value is None:
        return f"{at}  no JSON object, {fields['undecodable']} bytes, key {_flat(fields['key'])}"
    head = [_flat(value[name]) for name in _HEAD if value.get(name) not in (None, "")]
    rest = {name: each for name, each in value.items() if name not in _HEAD and name not in _LEFT_OUT and each not in (None, {}, [], 0)}
    line = f"{at}  {'  '.join(head)}" + (f"  {_flat(msgspec.json.encode(rest).decode())}" if rest else "")
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"


def _why(record: Record, *, full: bool) -> dict[str, str]:
    """Return what a dead letter's headers say; what is wrong may repeat a customer's address, so it is masked too."""
    stated = {name: content.decode("utf-8", "replace") for name, content in record.headers}
    return {name: stated[name] if full else mask(stated[name]) for name in _WHY if name in stated}


def _read(value: bytes) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _masked(value: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {name: redacted(name, each) for name, each in value.items()}
    if isinstance(context := value.get("context"), dict):  # what a template may use: names, addresses, anything
        shown["context"] = dict.fromkeys(context, HIDDEN)
    for place in _THEIRS:  # of a rejected event, as the client sent it
        _hide_names(shown.get(place))
    if isinstance(data := shown.get("data"), dict):
        _hide_names(data)
        _hide_names(data.get("traits"))
        _hide_names(data.get("context"))
    return shown


def _hide_names(fields: Any) -> None:
    if isinstance(fields, dict):
        fields.update({name: HIDDEN for name in fields if name.lower() in _NAMES})
        _hide_names(fields.get("$set"))


def _flat(value: Any) -> str:
    """Return a value as text that stays on its line and can't command a terminal."""
    return "".join(character if character.isprintable() else " " for character in str(value))
