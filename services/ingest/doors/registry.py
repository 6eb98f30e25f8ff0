"""Which door stands at which path."""

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

from services.contracts.aliases import load_aliases
from services.ingest.doors.cloudevents import CloudEventsDoor
from services.ingest.doors.customerio_track import CUSTOMERS_PREFIX, TRACK_PATHS, CustomerioTrackDoor
from services.ingest.doors.events import EventsDoor
from services.ingest.doors.ga4 import COLLECT_PATH, DEBUG_PATH, Ga4DebugDoor, Ga4Door
from services.ingest.doors.pixel import PREFIXES as PIXEL_PREFIXES
from services.ingest.doors.pixel import PixelDoor
from services.ingest.doors.port import Door
from services.ingest.doors.posthog import LEGACY_PATHS, V1_PATH, PostHogDoor, PostHogV1Door
from services.ingest.doors.posthog_config import CONFIG_PREFIX, FLAGS_PATHS, PostHogConfigDoor, PostHogFlagsDoor
from services.ingest.doors.segment import KINDS, METRICS_PATH, MetricsDoor, SegmentDoor

_CUSTOMERIO = CustomerioTrackDoor()
_SEGMENT = SegmentDoor(partial(load_aliases, "segment", "b2b"))
_PIXEL = PixelDoor(_SEGMENT)


def _both_ways(paths: Mapping[str, Door]) -> Mapping[str, Door]:
    """Return the doors at their paths, each with and without a slash at the end."""
    return MappingProxyType({each: door for path, door in paths.items() for each in (path, f"{path}/")})


DOORS: Mapping[str, Door] = _both_ways(
    {
        "/v1/events": EventsDoor(),
        "/cloudevents": CloudEventsDoor(),
        V1_PATH: PostHogV1Door(),
        **dict.fromkeys(LEGACY_PATHS, PostHogDoor()),
        **dict.fromkeys(FLAGS_PATHS, PostHogFlagsDoor()),
        **dict.fromkeys(KINDS, _SEGMENT),
        METRICS_PATH: MetricsDoor(),
        **dict.fromkeys(TRACK_PATHS, _CUSTOMERIO),
        COLLECT_PATH: Ga4Door(),
        DEBUG_PATH: Ga4DebugDoor(),
    }
)
"""Doors at exact paths, for POST."""
PREFIXES: Sequence[tuple[str, Door]] = (
    (CONFIG_PREFIX, PostHogConfigDoor()),
    (CUSTOMERS_PREFIX, _CUSTOMERIO),
    *((prefix, _PIXEL) for prefix in PIXEL_PREFIXES),
)
"""Doors at everything below a path, for any method; the first that fits is taken."""


def door_at(method: str, path: str) -> Door | None:
    """Return the door that takes a request, None where there is none."""
    if method == "POST" and (door := DOORS.get(path)) is not None:
        return door
    return next((door for prefix, door in PREFIXES if path.startswith(prefix)), None)
