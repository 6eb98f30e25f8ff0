"""The process's name: what tells a restarted process from its siblings."""

import os

import pytest

from services.commands.chassis import process_name
from services.runtime.settings import LogSettings, Settings


@pytest.mark.parametrize(("instance", "expected"), [("", "serve"), ("shop", "shop")])
def test_the_only_process_on_an_embedded_log_keeps_its_name(instance: str, expected: str) -> None:
    """A restarted `serve` is known by the name of the killed one."""
    assert process_name(Settings(log=LogSettings(kind="embedded", instance=instance))) == expected


def test_processes_on_kafka_differ_unless_named() -> None:
    """Without an instance's name, no two processes share one."""
    assert process_name(Settings(log=LogSettings(kind="kafka"))).endswith(f"-{os.getpid()}")
    assert process_name(Settings(log=LogSettings(kind="kafka", instance="rules-2"))) == "rules-2"
