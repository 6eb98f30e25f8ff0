"""Types that Povod publishes itself come in by no door."""

import base64
import json

import pytest

from services.contracts.events import RESERVED_PREFIXES
from services.ingest.doors.port import Posted
from services.ingest.doors.registry import door_at
from tests.door_requests import judged, posted

NAMES = ["povod.erase", "povod.merge", "message.failed", " povod.consent ", "povod.", "message.\u0000x"]
BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-subject": "u1"}


def _requests(name: str) -> dict[str, Posted]:
    track = {"type": "track", "event": name, "userId": "u1", "name": name}
    ga4 = {"client_id": "v", "events": [{"name": name}]}
    cloud = {"specversion": "1.0", "id": "1", "source": "s", "type": name, "subject": "u1"}
    posthog = {"batch": [{"event": name, "distinct_id": "u1"}]}
    data = base64.b64encode(json.dumps(track).encode()).decode()
    return {
        "our own": posted("/v1/events", {"type": name, "customer": "u1"}),
        "Segment's": posted("/v1/track", track),
        "Segment's batch": posted("/v1/batch", {"batch": [track]}),
        "a pixel": posted("/v1/pixel/track", query={"data": data})._replace(method="GET"),
        "a pixel's parameters": posted("/pixel/v1/track", query={"event": name, "userId": "u1"})._replace(method="GET"),
        "PostHog's": posted("/batch", posthog),
        "PostHog's newer": posted("/i/v1/analytics/events", posthog),
        "GA4's": posted("/mp/collect", ga4),
        "CloudEvents": posted("/cloudevents", cloud, {"content-type": "application/cloudevents+json"}),
        "CloudEvents' batch": posted("/cloudevents", [cloud], {"content-type": "application/cloudevents-batch+json"}),
        "CloudEvents' headers": posted("/cloudevents", b"{}", {**BINARY, "ce-type": name}),
        "Customer.io's": posted("/api/v1/customers/u1/events", {"name": name}),
        "Customer.io's batch": posted("/api/v2/batch", {"batch": [{"action": "event", "identifiers": {"id": "u1"}, "name": name}]}),
    }


@pytest.mark.parametrize("door", list(_requests("x")))
@pytest.mark.parametrize("name", NAMES)
def test_reserved_types_are_rejected(door: str, name: str) -> None:
    """Whoever names an event as one of ours gets it rejected as `reserved_type`, and nothing is stored."""
    assert name.strip().startswith(RESERVED_PREFIXES)
    request = _requests(name)[door]
    found = door_at(request.method, request.path)
    assert found is not None
    result = judged(found, request)
    assert result.records == []
    assert [reject.code for reject in result.rejects] == ["reserved_type"]
