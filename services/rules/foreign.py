"""CloudEvents of other people's producers, in both modes of the Kafka protocol binding. Pure.

    structured   the value is the event as JSON
    binary       headers `ce_id`, `ce_type`, ... are its attributes, the value is its data

Our own services write all that `decode_event` asks for; others know only the standard. What it leaves open is filled in from the record:
`time` and `receivedtime` are when it was appended. A customer (`subject`) is needed, and data is an object of JSON.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn

import msgspec
from msgspec import UNSET

from services.contracts.codec import TRACEPARENT, as_utc
from services.contracts.errors import InvalidEvent
from services.contracts.events import Event
from services.contracts.ids import CustomerId, EventId
from services.contracts.trace import parse_traceparent
from services.runtime.eventlog.port import Record

_PREFIX = "ce_"
_CONTENT_TYPE = "content-type"
_JSON = ("application/json", "text/json")
_TRUE = ("true", True)


def read_foreign(record: Record, error: InvalidEvent) -> Event:
    """Return the event of a record that is none of our own; raises `error` where it is no CloudEvent, an `InvalidEvent` of its own else."""
    headers = {name.lower(): value for name, value in record.headers}
    if any(name.startswith(_PREFIX) for name in headers):
        attributes, data = _binary(headers, record.value)
    else:
        attributes = _object(record.value, error)
        if "specversion" not in attributes:
            raise error
        if "data_base64" in attributes:
            _refuse("data must be JSON, not data_base64", "unsupported_content", "/data_base64")
        data = attributes.get("data")
    return _event(attributes, data, record, _text_of(headers.get(TRACEPARENT)))


def _binary(headers: Mapping[str, bytes], value: bytes) -> tuple[Mapping[str, Any], Any]:
    """Return attributes and data; an attribute that is no UTF-8 is refused, as one with a NUL is later."""
    try:
        attributes = {name.removeprefix(_PREFIX): content.decode() for name, content in headers.items() if name.startswith(_PREFIX)}
        attributes["datacontenttype"] = headers.get(_CONTENT_TYPE, b"").decode()
    except UnicodeError as error:
        raise InvalidEvent("an attribute is no UTF-8", code="not_utf8") from error
    _check_content(attributes["datacontenttype"])
    if not value:
        return attributes, None
    return attributes, _object(value, InvalidEvent("data must be a JSON object", code="invalid_data", pointer="/data"))


def _object(value: bytes, error: InvalidEvent) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise error from None
    if not isinstance(found, dict):
        raise error
    return found


def _event(attributes: Mapping[str, Any], data: Any, record: Record, traceparent: str | None) -> Event:
    if attributes.get("specversion") != "1.0":
        _refuse("specversion must be 1.0", "unsupported_version", "/specversion")
    _check_content(attributes.get("datacontenttype"))
    if data is not None and not isinstance(data, dict):
        _refuse("data must be a JSON object", "invalid_data", "/data")
    named = attributes.get(TRACEPARENT)
    anonymous = attributes.get("anonymousid")
    return Event(
        id=EventId(_text(attributes, "id")),
        type=_text(attributes, "type"),
        source=_text(attributes, "source"),
        subject=CustomerId(_text(attributes, "subject")),
        time=_moment(attributes.get("time"), "time", record.appended_at),
        receivedtime=_moment(attributes.get("receivedtime"), "receivedtime", record.appended_at),
        data=data or {},
        historical=attributes.get("historical") in _TRUE,
        traceparent=next((each for each in (named, traceparent) if isinstance(each, str) and parse_traceparent(each)), None),
        anonymousid=anonymous if isinstance(anonymous, str) and anonymous else UNSET,
        bot=True if attributes.get("bot") in _TRUE else UNSET,
    )


def _check_content(content_type: Any) -> None:
    kind = str(content_type or _JSON[0]).partition(";")[0].strip().lower()
    if kind not in _JSON and not kind.endswith("+json"):
        _refuse(f"data must be JSON, not {kind[:100]}", "unsupported_content", "/datacontenttype")


def _text(attributes: Mapping[str, Any], name: str) -> str:
    value = attributes.get(name)
    if not isinstance(value, str) or not value:
        what = "the customer's id: an event without it belongs to nobody" if name == "subject" else "text"
        _refuse(f"{name} must be there, as {what}", f"missing_{name}", f"/{name}")
    return value


def _moment(value: Any, name: str, default: datetime) -> datetime:
    if value is None:
        return default
    try:
        moment = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        _refuse(f"{name} must be RFC 3339, such as 2026-11-22T10:00:00Z", "invalid_time", f"/{name}")
    if moment.tzinfo is None:
        _refuse(f"{name} must carry an offset", "naive_time", f"/{name}")
    return as_utc(moment)


def _text_of(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _refuse(message: str, code: str, pointer: str) -> NoReturn:
    raise InvalidEvent(message, code=code, pointer=pointer)
