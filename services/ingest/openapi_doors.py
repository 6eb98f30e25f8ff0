"""What the OpenAPI document says of the doors for other people's clients: where they are, and what they answer.

Their bodies are described where their clients are: here stands what a body of theirs becomes, in `docs/doors/`.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPMethod
from typing import Any, NamedTuple

import msgspec

from services.ingest.doors.customerio_track import CUSTOMERS_PREFIX, TrackAnswer
from services.ingest.doors.events import EventsAnswer
from services.ingest.doors.port import Door
from services.ingest.doors.posthog import LegacyAnswer, V1Answer
from services.ingest.doors.posthog_config import CONFIG_PREFIX
from services.ingest.doors.segment import SegmentAnswer

OWN = "/v1/events"
"""Our own door has its own page in the document."""
JSON = "application/json"


class Success(NamedTuple):
    """An answer to a request that was taken: a media type with a schema, or nothing at all."""

    status: int
    media: str = ""
    schema: type[msgspec.Struct] | None = None


_SUCCESSES: Mapping[str, Sequence[Success]] = {
    "segment": (Success(200, JSON, SegmentAnswer),),
    "posthog": (Success(200, JSON, LegacyAnswer),),
    "posthog_v1": (Success(200, JSON, V1Answer),),
    "cloudevents": (Success(200, JSON, EventsAnswer),),
    "customerio_track": (Success(200, JSON, TrackAnswer), Success(207, JSON, TrackAnswer)),
    "ga4": (Success(204),),
    "pixel": (Success(200, "image/gif"),),
    "posthog_config": (Success(200, JSON), Success(200, "text/javascript")),
}
"""By the door's name; a door that is not here answers 200 with some JSON object."""
_BELOW: Mapping[str, Sequence[tuple[HTTPMethod, str]]] = {
    CONFIG_PREFIX: ((HTTPMethod.GET, "{key}/config"), (HTTPMethod.GET, "{key}/config.js")),
    CUSTOMERS_PREFIX: (
        (HTTPMethod.PUT, "{customer}"),
        (HTTPMethod.DELETE, "{customer}"),
        (HTTPMethod.POST, "{customer}/events"),
        (HTTPMethod.POST, "{customer}/suppress"),
        (HTTPMethod.POST, "{customer}/unsuppress"),
        (HTTPMethod.PUT, "{customer}/devices"),
        (HTTPMethod.DELETE, "{customer}/devices/{token}"),
    ),
}
"""What stands below a prefix; one that is not here is taken for one parameter, by GET."""
ANSWERS: Sequence[type[msgspec.Struct]] = (EventsAnswer, SegmentAnswer, LegacyAnswer, V1Answer, TrackAnswer)
"""The structs whose schemas the document needs."""


def door_paths(
    doors: Mapping[str, Door], prefixes: Sequence[tuple[str, Door]], errors: Mapping[str, Any], ref: str
) -> dict[str, dict[str, Any]]:
    """Return the document's paths for all doors but our own; `errors` are the answers to requests that are refused."""
    found: dict[str, dict[str, Any]] = {}
    for path, door in doors.items():
        if path != OWN and not path.endswith("/"):
            found.setdefault(path, {})["post"] = _operation(door, HTTPMethod.POST, path, errors, ref)
    for prefix, door in prefixes:
        for method, rest in _BELOW.get(prefix, ((HTTPMethod.GET, "{rest}"),)):
            path = prefix + rest
            found.setdefault(path, {})[method.lower()] = _operation(door, method, path, errors, ref)
    return found


def _operation(door: Door, method: HTTPMethod, path: str, errors: Mapping[str, Any], ref: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "tags": [f"door: {door.name}"],
        "summary": inspect.cleandoc(type(door).__doc__ or door.name).partition("\n")[0],
        "operationId": "_".join((door.name, method.lower(), *_words(path))),
        "security": [{"writeKey": []}, {"writeKeyAsUser": []}, {"writeKeyInQuery": []}, {}],
        "responses": {**_successes(door.name, ref), **errors},
    }
    if names := [part.partition("}")[0] for part in path.split("{")[1:]]:
        operation["parameters"] = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    if method in {HTTPMethod.POST, HTTPMethod.PUT}:
        operation["requestBody"] = {
            "description": f"as its clients send it: docs/doors/; any Content-Type, {_PACKINGS}",
            "content": {"*/*": {}},
        }
    return operation


_PACKINGS = "as it is or packed with gzip or deflate"


def _words(path: str) -> Iterator[str]:
    for part in path.split("/"):
        if word := part.strip("{}").replace(".", "_").replace("-", "_"):
            yield word


def _successes(name: str, ref: str) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for success in _SUCCESSES.get(name, (Success(200, JSON),)):
        response = responses.setdefault(str(success.status), {"description": "taken: whatever was accepted is durable"})
        if success.media:
            schema = {} if success.schema is None else {"schema": {"$ref": ref.format(name=success.schema.__name__)}}
            response.setdefault("content", {})[success.media] = schema
    return responses
