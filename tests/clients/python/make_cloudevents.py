"""Make Kafka messages with PyPI cloudevents: a line of `{mode, attributes, data}` in, one of `{key, value, headers}` in hex out."""

import json
import sys
from typing import Any

from cloudevents.core.bindings.kafka import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent


def message(order: dict[str, Any]) -> dict[str, Any]:
    """Return a message as the library makes it, keyed by the customer."""
    attributes = {**order["attributes"], "partitionkey": order["attributes"].get("subject", "")}
    event = CloudEvent(attributes=attributes, data=order["data"])
    made = to_binary_event(event) if order["mode"] == "binary" else to_structured_event(event)
    headers = {name: value.hex() for name, value in made.headers.items()}
    return {"key": _bytes(made.key).hex(), "value": _bytes(made.value).hex(), "headers": headers}


def _bytes(content: str | bytes | None) -> bytes:
    return content.encode() if isinstance(content, str) else content or b""


for line in sys.stdin:
    sys.stdout.write(f"{json.dumps(message(json.loads(line)))}\n")
