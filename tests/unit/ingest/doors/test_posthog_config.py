"""What PostHog's libraries ask for before they send."""

import json

import pytest

from services.ingest.doors.port import Parcel, Posted
from services.ingest.doors.posthog_config import PostHogConfigDoor, PostHogFlagsDoor
from services.ingest.judge import Judged
from services.ingest.refusals import RequestRefused
from tests.door_requests import posted

NOTHING = Judged([], [], [], [])
CONFIG = PostHogConfigDoor()
FLAGS = PostHogFlagsDoor()


def _get(path: str) -> Posted:
    return posted(path)._replace(method="GET")


def test_the_settings() -> None:
    """The settings of a key say that gzip is welcome, and that there is nothing beside events."""
    request = _get("/array/pk_test/config")
    assert CONFIG.read(request) == Parcel((), "pk_test")
    answer = CONFIG.accept(request, NOTHING)
    settings = json.loads(answer.body)
    assert (answer.status, answer.content_type, settings["token"]) == (200, b"application/json", "pk_test")
    assert settings["supportedCompression"] == ["gzip", "gzip-js"]
    assert (settings["hasFeatureFlags"], settings["sessionRecording"], settings["autocapture_opt_out"]) == (False, False, True)


def test_the_settings_as_a_script() -> None:
    """The script puts the same settings where posthog-js looks for them."""
    answer = CONFIG.accept(_get("/array/pk_test/config.js"), NOTHING)
    assert answer.content_type == b"text/javascript"
    start = '(window._POSTHOG_REMOTE_CONFIG=window._POSTHOG_REMOTE_CONFIG||{})["pk_test"]={config:{"token":"pk_test",'
    assert answer.body.decode().startswith(start)


@pytest.mark.parametrize("path", ["/array/pk_test/array.js", "/array/pk_test", "/array/", "/array/pk_test/config/x"])
def test_nothing_else_is_there(path: str) -> None:
    """Other files of PostHog's are not served."""
    with pytest.raises(RequestRefused) as caught:
        CONFIG.read(_get(path))
    assert caught.value.code == "not_found"


@pytest.mark.parametrize(
    "body",
    [
        b'{"token": "pk_test", "distinct_id": "u1"}',
        b'{"api_key": "pk_test"}',
        b"data=eyJ0b2tlbiI6InBrX3Rlc3QiLCJkaXN0aW5jdF9pZCI6InUxIn0%3D",
    ],
)
def test_there_are_no_flags(body: bytes) -> None:
    """Whoever asks for feature flags, in any of the libraries' ways, is told that there are none."""
    request = posted("/flags/", body, query={"v": "2"})
    assert FLAGS.read(request) == Parcel((), "pk_test")
    found = json.loads(FLAGS.accept(request, NOTHING).body)
    assert (found["flags"], found["featureFlags"], found["errorsWhileComputingFlags"]) == ({}, {}, False)
