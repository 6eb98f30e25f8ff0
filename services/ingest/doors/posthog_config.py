"""What PostHog's libraries ask for before they send: their project's settings (`/array/KEY/config`, `config.js`) and flags (`/flags`).

The answer is the same for everyone: gzip is welcome, there are no flags, and everything that would send other than events is off
(recordings, surveys, heat maps, clicks captured by themselves). Without it posthog-js logs an error and stops packing.
"""

from typing import Any

import msgspec

from services.ingest.doors.fields import object_of
from services.ingest.doors.port import JSON, Answer, Door, KeyPlace, Parcel, Posted
from services.ingest.doors.posthog import json_of, key_of
from services.ingest.judge import Judged
from services.ingest.refusals import RequestRefused

CONFIG_PREFIX = "/array/"
FLAGS_PATHS = ("/flags", "/decide")
_SCRIPT = b"text/javascript"
_OFF = (
    "autocaptureExceptions",
    "captureDeadClicks",
    "capturePerformance",
    "conversations",
    "hasFeatureFlags",
    "heatmaps",
    "isAuthenticated",
    "logs",
    "productTours",
    "sessionRecording",
)
"""Off. `surveys` is not named at all: even where they are off, posthog-js loads their script to take them away."""
_CONFIG: dict[str, Any] = {
    **dict.fromkeys(_OFF, False),
    "autocapture_opt_out": True,
    "defaultIdentifiedOnly": True,
    "siteApps": [],
    "supportedCompression": ["gzip", "gzip-js"],
    "toolbarParams": {},
}
_FLAGS: dict[str, Any] = {"flags": {}, "featureFlags": {}, "featureFlagPayloads": {}, "errorsWhileComputingFlags": False}
_encoder = msgspec.json.Encoder()


class PostHogConfigDoor(Door):
    """`GET /array/KEY/config`, and the same as a script."""

    name = "posthog_config"
    key_place: KeyPlace = "body"

    def read(self, posted: Posted) -> Parcel:
        """Return the key that stands in the path, and no events; raises `RequestRefused` (404) for anything else below `/array/`."""
        key, _, file = posted.path.removeprefix(CONFIG_PREFIX).partition("/")
        if file not in {"config", "config.js"}:
            raise RequestRefused("not_found", "config and config.js are here: serve posthog-js itself with your site")
        return Parcel((), key)

    def accept(self, posted: Posted, judged: Judged) -> Answer:  # noqa: ARG002 - the port's
        """Answer with the settings; who gets here has a good key, which has no character that ends a script's text."""
        key = posted.path.removeprefix(CONFIG_PREFIX).partition("/")[0]
        config = _encoder.encode({"token": key, **_CONFIG})
        if not posted.path.endswith(".js"):
            return Answer(200, JSON, config)
        script = b"(window._POSTHOG_REMOTE_CONFIG=window._POSTHOG_REMOTE_CONFIG||{})[%b]={config:%b,siteApps:[]};"
        return Answer(200, _SCRIPT, script % (_encoder.encode(key), config))


class PostHogFlagsDoor(Door):
    """`POST /flags` and its older name: nobody has any feature flag here."""

    name = "posthog_flags"
    key_place: KeyPlace = "either"

    def read(self, posted: Posted) -> Parcel:
        """Return the key that stands in the body, and no events; raises `InvalidEvent` (`invalid_json`, `too_deep`)."""
        return Parcel((), key_of(object_of(json_of(posted)), {}))

    def accept(self, posted: Posted, judged: Judged) -> Answer:  # noqa: ARG002 - the port's
        """Answer with no flags, and the settings, which older libraries expect here."""
        return Answer(200, JSON, _encoder.encode({**_CONFIG, **_FLAGS}))
