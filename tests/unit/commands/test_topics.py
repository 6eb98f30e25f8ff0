"""`povod topics` as typed, on the embedded engine."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from services.cli import povod
from services.commands.invocation import Invocation
from services.contracts.topics import load_topics


def _topics(command: str, folder: Path) -> tuple[int, Any]:
    result = CliRunner().invoke(povod, ["topics", command, "--json", "--data", str(folder)], obj=Invocation({}))
    return result.exit_code, json.loads(result.output)


def test_before_the_first_start_every_topic_is_missing(tmp_path: Path) -> None:
    """`check` lists the topics as missing, ends with 1 and makes nothing."""
    code, states = _topics("check", tmp_path / "fresh")
    assert (code, [state["topic"] for state in states]) == (1, [topic.name for topic in load_topics()])
    assert not any(state["found"] or state["ok"] for state in states)
    assert not (tmp_path / "fresh").exists()


def test_applied_topics_are_as_the_registry_wants_them(tmp_path: Path) -> None:
    """`apply` makes the topics, and `check` then finds nothing to say."""
    applied, _ = _topics("apply", tmp_path)
    code, states = _topics("check", tmp_path)
    assert (applied, code, all(state["ok"] for state in states)) == (0, 0, True)
