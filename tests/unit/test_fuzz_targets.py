"""Fuzzing is worth what it reaches: the examples that it begins with get through every door."""

import pytest

from services.contracts.errors import InvalidEvent
from services.ingest.refusals import RequestRefused
from tests.fuzz.targets import READERS, TARGETS, doors, examples, handle, request_of

WITHOUT_EVENTS = {"ga4_debug", "posthog_config", "posthog_flags", "segment_metrics"}


@pytest.mark.parametrize("name", doors())
def test_examples_get_through(name: str) -> None:
    """At least one example is taken at the door, and becomes a record where the door takes events."""
    door, method, path = doors()[name]
    reached = []
    for content in examples()[name]:
        try:
            reached.append(handle(door, request_of(content, door, method, path)))
        except (InvalidEvent, RequestRefused):
            continue
    assert reached
    assert (max(reached) > 0) == (name not in WITHOUT_EVENTS)


@pytest.mark.parametrize("name", sorted(READERS))
def test_what_is_no_door_takes_all_its_examples(name: str) -> None:
    """The other readers refuse none of what their fuzzing begins with."""
    for content in examples()[name]:
        READERS[name].function(content)


@pytest.mark.parametrize("name", TARGETS)
def test_targets_take_every_example(name: str) -> None:
    """No target falls over what another one begins with."""
    for contents in examples().values():
        for content in contents:
            TARGETS[name](content)
