"""What the OpenAPI document says of the doors, which FastAPI does not see; most of all of our own."""

import inspect
from typing import Any

import msgspec

from services.contracts.incoming import MAX_KEY
from services.contracts.normalise import MAX_CUSTOMER, MAX_SOURCE, MAX_TYPE
from services.ingest.debug import DebugAnswer
from services.ingest.doors.registry import DOORS, PREFIXES
from services.ingest.intake import KEY_PARAMETER
from services.ingest.openapi_doors import ANSWERS, OWN, door_paths
from services.ingest.refusals import STATUS, ErrorBody

_REFS = "#/components/schemas/{name}"
_REASONS = {
    400: "the request is no JSON, or holds no event",
    401: "the write key is missing or not known",
    403: "the write key may not be used like this, or not from this origin",
    408: "the body did not come in time",
    413: "the request, or the number of its events, is over the limit",
    415: "the body is packed with something other than gzip or deflate, or is of no known media type",
    429: "the key posts more events a second than it may",
    503: "nothing was lost, nothing is promised: send the same again",
}


def add_doors(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with all doors and their schemas in it."""
    _, components = msgspec.json.schema_components([*ANSWERS, DebugAnswer, ErrorBody], ref_template=_REFS)
    found = document.get("components", {}).get("schemas", {})
    kept = {name: schema for name, schema in found.items() if "ValidationError" not in name}
    schemas = {**kept, **{name: _tidy(schema) for name, schema in components.items()}, "PostedEvent": _posted_event()}
    security = {
        "writeKey": {"type": "http", "scheme": "bearer", "description": "a write key: povod keys create NAME"},
        "writeKeyInQuery": {"type": "apiKey", "in": "query", "name": KEY_PARAMETER, "description": "for clients that can send no header"},
        "writeKeyAsUser": {"type": "http", "scheme": "basic", "description": "the write key as user, the password empty"},
        "adminKey": {"type": "http", "scheme": "bearer", "description": "an admin key: povod keys create NAME --scope admin"},
    }
    return {
        **document,
        "paths": {
            OWN: {"post": _operation()},
            **door_paths(DOORS, PREFIXES, _errors(), _REFS),
            **_without_validation(document["paths"]),
        },
        "components": {**document.get("components", {}), "schemas": schemas, "securitySchemes": security},
    }


def _tidy(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "description": inspect.cleandoc(schema["description"])}


def _without_validation(paths: dict[str, Any]) -> dict[str, Any]:
    """Drop the 422 that FastAPI promises for every parameter: ours are plain text, and are judged by what they mean."""
    for operations in paths.values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    return paths


def _errors() -> dict[str, Any]:
    return {str(status): _error(status, words) for status, words in _REASONS.items()}


def _operation() -> dict[str, Any]:
    return {
        "tags": ["events"],
        "summary": "Post events",
        "description": 'One event, an array of events, or `{"batch": [...]}`, as it is or packed with gzip; any Content-Type. '
        "Answered only after every accepted event is durable. A batch is never refused for a bad event in it: look at `results`. "
        "After a 503, or no answer, send the same again: an event's `id` makes that safe.",
        "operationId": "post_events",
        "security": [{"writeKey": []}, {"writeKeyAsUser": []}],
        "parameters": [
            {"name": "traceparent", "in": "header", "required": False, "schema": {"type": "string"}, "description": "W3C Trace Context"}
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _request(), "examples": _examples()}}},
        "responses": {"200": _response("what became of each event", "EventsAnswer"), **_errors()},
    }


def _request() -> dict[str, Any]:
    event = {"$ref": _REFS.format(name="PostedEvent")}
    many = {"type": "array", "items": event, "minItems": 1}
    return {"oneOf": [event, many, {"type": "object", "required": ["batch"], "properties": {"batch": many}}]}


def _examples() -> dict[str, Any]:
    event = {
        "type": "product.added",
        "customer": "42",
        "id": "b7f3c1",
        "time": "2026-11-22T10:00:00Z",
        "data": {"cart_id": "c-17", "product_id": "kettle-1", "price": 2490, "quantity": 1},
    }
    return {"one": {"value": event}, "batch": {"value": {"batch": [event]}}}


def _posted_event() -> dict[str, Any]:
    identifier = {"type": ["string", "number", "null"]}
    return {
        "type": "object",
        "required": ["type"],
        "anyOf": [{"required": ["customer"]}, {"required": ["subject"]}, {"required": ["anonymous"]}],
        "properties": {
            "type": {"type": "string", "minLength": 1, "maxLength": MAX_TYPE, "description": "lower.dotted; any type is taken"},
            "customer": {**identifier, "maxLength": MAX_CUSTOMER, "description": "your own id of the person"},
            "subject": {**identifier, "maxLength": MAX_CUSTOMER, "description": "CloudEvents' word for customer"},
            "id": {**identifier, "description": "your id of the event, the same whenever you send it again"},
            "time": {
                "type": ["string", "number", "null"],
                "description": "ISO 8601 with an offset, or Unix seconds or milliseconds; now, if left out",
            },
            "anonymous": {**identifier, "maxLength": MAX_CUSTOMER, "description": "your id of a visitor who has not said who he is"},
            "sent_at": {
                "type": ["string", "number", "null"],
                "description": "the client's clock when it sent: with it, `time` is corrected for that clock's error",
            },
            "signature": {
                "type": ["string", "null"],
                "description": "hex HMAC-SHA256 of the customer's id, where the key asks for it: povod keys identity-secret NAME",
            },
            "data": {
                "type": ["object", "null"],
                "propertyNames": {"maxLength": MAX_KEY},
                "description": "what happened; checked against schemas/events/<type>.json where the type is known",
            },
            "source": {"type": ["string", "null"], "maxLength": MAX_SOURCE, "description": "server keys only; else the key's name"},
            "historical": {"type": ["boolean", "null"], "description": "server keys only: updates what is known, triggers nothing"},
            "traceparent": {"type": ["string", "null"], "description": "W3C Trace Context of this event"},
        },
        "additionalProperties": False,
    }


def _error(status: int, words: str) -> dict[str, Any]:
    codes = ", ".join(f"`{code}`" for code, its in STATUS.items() if its == status)
    response = _response(f"{words} ({codes})", "ErrorBody")
    if status in {429, 503}:
        response["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
    return response


def _response(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": {"$ref": _REFS.format(name=schema)}}}}
