"""CloudEvents 1.0 over HTTP, `POST /cloudevents`: binary, structured and batched.

Binary: attributes as `ce-*` headers, percent-encoded, the body is the data. Structured: `application/cloudevents+json`, all in the body.
Batched: `application/cloudevents-batch+json`, an array of such. `subject` is the customer; `source` counts with a server key.
See https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn
from urllib.parse import unquote

import msgspec

from services.contracts.errors import InvalidEvent
from services.contracts.hygiene import pointer_of
from services.contracts.incoming import Item, Unreadable, read_json
from services.ingest.doors.events import EventsAnswer
from services.ingest.doors.fields import object_of, stated
from services.ingest.doors.port import JSON, Answer, Door, KeyPlace, Parcel, Posted
from services.ingest.judge import Judged
from services.ingest.refusals import RequestRefused, body_of

_STRUCTURED = "application/cloudevents"
_BATCHED = "application/cloudevents-batch"
_REQUIRED = ("id", "source", "type")
_OURS = frozenset({"id", "source", "type", "subject", "time", "data", "traceparent", "anonymousid", "historical"})
_UNUSED = frozenset({"specversion", "datacontenttype", "dataschema", "tracestate", "receivedtime", "originaltime"})
_NAME = re.compile(r"[a-z0-9]+", re.ASCII)
_LABELS_OF_NOTHING = frozenset({"", "text/plain", "application/x-www-form-urlencoded"})
"""What HTTP clients write of their own accord where nobody has named a type."""
_encoder = msgspec.json.Encoder()


class CloudEventsDoor(Door):
    """Events in CNCF's neutral shape."""

    name = "cloudevents"
    key_place: KeyPlace = "head"

    def read(self, posted: Posted) -> Parcel:
        """Return the events; raises `InvalidEvent`: `invalid_json`, `too_deep`, `empty_batch`, `unsupported_media_type`."""
        media_type = media_type_of(posted.headers)
        if media_type.startswith(_BATCHED):
            return Parcel([_structured(raw) for raw in _batch(posted.body, media_type)])
        if media_type.startswith(_STRUCTURED):
            _check_format(media_type, f"{_STRUCTURED}+json")
            return Parcel([_structured(read_json(posted.body))])
        if b"ce-specversion" in posted.headers:
            return Parcel([_binary(posted, media_type)])
        return _refuse_type(media_type)

    def accept(self, posted: Posted, judged: Judged) -> Answer:
        """Answer 200 with what became of each; 400 where the request's one event was rejected, so that a sender without eyes knows."""
        accepted, duplicates, rejected = judged.counts
        if rejected and not media_type_of(posted.headers).startswith(_BATCHED):
            why = judged.results[0]
            return Answer(400, JSON, _encoder.encode(body_of(RequestRefused(why.code or "bad_request", why.message or ""))))
        answer = EventsAnswer(accepted=accepted, duplicates=duplicates, rejected=rejected, results=judged.results)
        return Answer(200, JSON, _encoder.encode(answer))


def media_type_of(headers: Mapping[bytes, bytes]) -> str:
    """Return a request's media type in lower case, without parameters such as `charset`."""
    return _bare(headers.get(b"content-type", b"").decode("latin-1"))


def handshake(headers: Mapping[bytes, bytes], rate: int) -> tuple[tuple[bytes, bytes], ...]:
    """Return what answers the webhook handshake, an OPTIONS request with `WebHook-Request-Origin`; nothing for any other OPTIONS.

    Whoever asks may post: it is the write key that counts. `rate` is events a minute, 0: as many as he likes.
    See https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md#4-abuse-protection
    """
    origin = headers.get(b"webhook-request-origin", b"").strip()
    if not origin:
        return ()
    allowed = b"%d" % rate if rate else b"*"
    return ((b"webhook-allowed-origin", origin), (b"webhook-allowed-rate", allowed), (b"allow", b"OPTIONS, POST"))


def _bare(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _batch(body: bytes, media_type: str) -> Sequence[Any]:
    _check_format(media_type, f"{_BATCHED}+json")
    raw = read_json(body)
    if not isinstance(raw, list):
        raise InvalidEvent("a batch of CloudEvents is a JSON array", code="invalid_json", pointer="")
    if not raw:
        raise InvalidEvent("there is no event in this request", code="empty_batch", pointer="")
    return raw


def _check_format(media_type: str, wanted: str) -> None:
    """Events may come in Avro or Protobuf too; we read JSON, and a bare `application/cloudevents` as it."""
    if media_type not in {wanted, wanted.removesuffix("+json")}:
        _refuse_type(media_type)


def _refuse_type(media_type: str) -> NoReturn:
    given = media_type[:100] or "no media type"
    text = f"{given} without ce-specversion is no CloudEvent: send application/cloudevents+json, or ce- headers"
    raise InvalidEvent(text, code="unsupported_media_type", pointer="")


def _structured(raw: Any) -> Item:
    if not isinstance(raw, dict):
        return Unreadable(InvalidEvent("a CloudEvent is a JSON object", code="not_an_object", pointer=""), raw)
    return _item(raw, raw)


def _binary(posted: Posted, media_type: str) -> Item:
    attributes: dict[str, Any] = {
        name[3:].decode("latin-1"): _decoded(value) for name, value in posted.headers.items() if name.startswith(b"ce-")
    }
    if media_type not in _LABELS_OF_NOTHING:
        attributes["datacontenttype"] = media_type
    try:
        if _is_json(media_type) and posted.body.strip():
            attributes["data"] = read_json(posted.body)
    except InvalidEvent as error:
        return Unreadable(error, attributes)
    return _item(attributes, attributes)


def _decoded(value: bytes) -> str:
    """Undo the escapes of an attribute in a header: double quotes around it, then percent-encoded UTF-8."""
    text = value.decode("utf-8", "replace").strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    return unquote(text, errors="replace")


def _item(event: Mapping[str, Any], original: Any) -> Item:
    try:
        _check(event)
        extensions = _extensions(event)
    except InvalidEvent as error:
        return Unreadable(error, original)
    data = event.get("data")
    if extensions and (data is None or isinstance(data, dict)):
        data = {**(data or {}), "context": {**object_of(object_of(data).get("context")), "extensions": extensions}}
    named = {field: event.get(field) for field in ("type", "id", "time", "source", "traceparent")}
    return stated({**named, "customer": event.get("subject"), "anonymous": event.get("anonymousid"), "historical": _flag(event)}) | (
        {} if data is None else {"data": data}
    )


def _check(event: Mapping[str, Any]) -> None:
    if event.get("specversion") != "1.0":
        _reject("unsupported_specversion", "specversion must be 1.0", "specversion")
    for name in _REQUIRED:
        if event.get(name) in (None, ""):
            _reject(f"missing_{name}", f"a CloudEvent needs {name}", name)
    if event.get("subject") in (None, "") and event.get("anonymousid") in (None, ""):
        _reject("missing_customer", "subject must be your own id of the customer (or anonymousid the visitor's)", "subject")
    content_type = event.get("datacontenttype") or ""
    if "data_base64" in event or not isinstance(content_type, str) or not _is_json(_bare(content_type)):
        _reject("unsupported_data", "data must be a JSON object, datacontenttype application/json or absent", "datacontenttype")


def _is_json(media_type: str) -> bool:
    return media_type in _LABELS_OF_NOTHING or media_type.endswith(("/json", "+json"))


def _extensions(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the extension attributes that are not ours; raises `InvalidEvent` for a name or a value that CloudEvents does not allow."""
    found = {name: value for name, value in event.items() if name not in _OURS and name not in _UNUSED and value is not None}
    for name, value in found.items():
        if not _NAME.fullmatch(name):
            _reject("invalid_extension", f"attributes are named in lower-case letters and digits, not {name[:100]!r}", name)
        if isinstance(value, (dict, list)):
            _reject("invalid_extension", f"{name[:100]} must be text, a number, true or false: details belong into data", name)
    return found


def _flag(event: Mapping[str, Any]) -> Any:
    """Return the extension `historical`, a text in binary mode."""
    value = event.get("historical")
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def _reject(code: str, message: str, field: str) -> NoReturn:
    raise InvalidEvent(message, code=code, pointer=pointer_of([field]))
