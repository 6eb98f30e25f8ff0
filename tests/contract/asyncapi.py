"""The AsyncAPI document, made from the topic registry and the JSON Schemas: what lies on each topic, who writes it, who reads it.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import yaml

from services import __version__
from services.contracts.catalogue import Catalogue, load_catalogue
from services.contracts.events import RESERVED_PREFIXES
from services.contracts.resources import resource
from services.contracts.topics import DEAD_LETTERS, EVENTS, RECEIPTS, Topic, load_topics

FORMAT = "application/schema+json;version=draft-2020-12"
_BINDING = "0.5.0"
_TEXT = {"type": "string"}
_NUMBER = {"type": "string", "pattern": "^[0-9]+$"}
_TRACE = {"traceparent": {**_TEXT, "description": "W3C Trace Context, where there is one"}}
_DESCRIPTION = (
    "Every topic of Povod, for those who write events to Kafka themselves and those who read along. docs/topics.md says it in words.\n\n"
    "A record's partition is murmur2 of its key, as Kafka's own clients compute it."
)
_KEYS = {
    "customer": "the customer's id in UTF-8, the same as `subject` or `customer` in the value",
    "provider_message": "the provider's id of the message, empty where its callback names none",
    "source": "the key that the record had in the topic it came from",
}
_DEAD_HEADERS = {
    "reason": {**_TEXT, "description": "a stable lower_snake code"},
    "error": {**_TEXT, "description": "the same as a sentence"},
    "at": {**_TEXT, "format": "date-time"},
    "source": {**_TEXT, "description": "the write key's name; from HTTP only"},
    "source-topic": {**_TEXT, "description": "where the record lay; not from HTTP, nor are the next two"},
    "source-partition": _NUMBER,
    "source-offset": _NUMBER,
    "omitted": {**_TEXT, "description": "why the value is empty, where it could not be stored once more"},
}
_RECEIPT_HEADERS = {
    "hook": {**_TEXT, "description": "the name of the hook in the settings"},
    "content-type": {**_TEXT, "description": "as the provider sent it"},
    "received-at": {**_TEXT, "format": "date-time"},
}


def asyncapi_text() -> str:
    """Return the document as YAML."""
    lines = yaml.safe_dump(asyncapi_document(), sort_keys=False, allow_unicode=True, width=120)
    return f"# Made from schemas/topics, schemas/*.json and schemas/events by: python -m tests.contract.documents\n{lines}"


def asyncapi_document() -> dict[str, Any]:
    """Return the document."""
    topics, catalogue = load_topics(), load_catalogue()
    return {
        "asyncapi": "3.0.0",
        "id": "urn:povod:asyncapi",
        "info": {"title": "Povod", "version": __version__, "description": _DESCRIPTION, "license": {"name": "Apache-2.0"}},
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": "localhost:9092", "protocol": "kafka", "description": "`[log] bootstrap` in the settings"}},
        "channels": {topic.name: _channel(topic, catalogue) for topic in topics},
        "operations": {name: operation for topic in topics for name, operation in _operations(topic)},
        "components": {"messages": {name: message for topic in topics for name, message in _messages(topic, catalogue).items()}},
    }


def _channel(topic: Topic, catalogue: Catalogue) -> dict[str, Any]:
    settings = {"cleanup.policy": ["delete"], "retention.ms": topic.retention // timedelta(milliseconds=1)}
    binding = {"topic": topic.name, "partitions": topic.partitions, "topicConfiguration": settings, "bindingVersion": _BINDING}
    return {
        "address": topic.name,
        "description": _comment_of(topic),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _messages(topic, catalogue)},
        "bindings": {"kafka": binding},
    }


def _comment_of(topic: Topic) -> str:
    """Return what the registry's file says of a topic in its first line."""
    text = (resource("schemas") / "topics" / f"{topic.name}.yaml").read_text(encoding="utf-8")
    return text.splitlines()[0].removeprefix("# ")


def _operations(topic: Topic) -> Sequence[tuple[str, dict[str, Any]]]:
    channel = {"$ref": f"#/channels/{topic.name}"}
    writes = [(f"{writer}.writes.{topic.name}", {"action": "send", "channel": channel}) for writer in topic.writers]
    return [*writes, (f"{topic.owner}.reads.{topic.name}", {"action": "receive", "channel": channel})]


def _messages(topic: Topic, catalogue: Catalogue) -> dict[str, Any]:
    """Return the messages of a topic by name."""
    if topic.name.endswith(DEAD_LETTERS):
        summary = "The bytes as they were, with the reason in the headers."
        return {topic.name: _opaque(topic, summary, _DEAD_HEADERS, ["reason", "error", "at"])}
    if topic.name == RECEIPTS:
        return {topic.name: _opaque(topic, "A provider's callback, byte for byte.", _RECEIPT_HEADERS, list(_RECEIPT_HEADERS))}
    named = {file.removesuffix(".json"): _structured(topic, file) for file in topic.schemas}
    return named | ({name: _known(topic, name, catalogue) for name in catalogue.types()} if topic.name == EVENTS else {})


def _opaque(topic: Topic, summary: str, headers: Mapping[str, Any], required: Sequence[str]) -> dict[str, Any]:
    return {
        "summary": summary,
        "contentType": "application/octet-stream",
        "headers": {"type": "object", "properties": dict(headers), "required": list(required)},
        "bindings": _key(topic),
    }


def _structured(topic: Topic, file: str) -> dict[str, Any]:
    schema = json.loads((resource("schemas") / file).read_text(encoding="utf-8"))
    title = schema["$ref"].rpartition("/")[2]
    examples = json.loads((resource("schemas") / "examples" / file).read_text(encoding="utf-8"))["accepted"]
    return {
        "title": title,
        "summary": schema["$defs"][title]["description"].splitlines()[0],
        **_content(topic),
        "payload": {"schemaFormat": FORMAT, "schema": {"$ref": f"./{file}"}},
        "bindings": _key(topic),
        "examples": [{"payload": examples[0]}],
    }


def _known(topic: Topic, name: str, catalogue: Catalogue) -> dict[str, Any]:
    own = {"properties": {"type": {"const": name}, "data": {"$ref": f"./events/{name}.json"}}}
    note = (
        {"tags": [{"name": "reserved", "description": "only Povod's own services write it"}]} if name.startswith(RESERVED_PREFIXES) else {}
    )
    return {
        "title": name,
        "summary": catalogue.describe(name),
        **note,
        **_content(topic),
        "payload": {"schemaFormat": FORMAT, "schema": {"allOf": [{"$ref": "./event.json"}, own]}},
        "bindings": _key(topic),
    }


def _content(topic: Topic) -> dict[str, Any]:
    if topic.name != EVENTS:
        return {"contentType": "application/json", "headers": {"type": "object", "properties": _TRACE}}
    structured = {"content-type": {**_TEXT, "pattern": "^application/cloudevents\\+json"}}
    return {
        "contentType": "application/cloudevents+json",
        "headers": {"type": "object", "properties": {**structured, **_TRACE}, "required": ["content-type"]},
    }


def _key(topic: Topic) -> dict[str, Any]:
    return {"kafka": {"key": {"type": "string", "description": _KEYS[topic.key]}, "bindingVersion": _BINDING}}
