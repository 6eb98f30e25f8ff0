"""The loader takes every right file and says of every wrong one where the mistake is and how to mend it."""

from pathlib import Path

import pytest

from services.rules.loader import LoadedRuleset, check_directory, load_directory
from tests.rule_examples import (
    RIGHT_JOURNEYS,
    RIGHT_LIFECYCLES,
    RIGHT_POLICIES,
    WRONG_JOURNEYS,
    WRONG_LIFECYCLES,
    WRONG_POLICIES,
    Wrong,
)

_JOURNEY = "trigger: {event: order.completed}\nsteps: [{send: note}]"
_LIFECYCLE = "stages: [lead, onboarding, active, dormant]"


def _lay_out(folder: Path, files: dict[str, str]) -> tuple[Path, Path]:
    texts = {"rules/journeys/other.yaml": _JOURNEY, "rules/lifecycle.yaml": _LIFECYCLE, **files}
    for channel in ("email", "sms"):
        texts[f"templates/note/{channel}/en/body.txt"] = "Hello"
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "rules", folder / "templates"


def _load(folder: Path, name: str, text: str) -> LoadedRuleset:
    return load_directory(*_lay_out(folder, {f"rules/{name}": text}))


@pytest.mark.parametrize("text", RIGHT_JOURNEYS.values(), ids=RIGHT_JOURNEYS)
def test_takes_journeys(tmp_path: Path, text: str) -> None:
    """A right journey is loaded without a warning."""
    loaded = _load(tmp_path, "journeys/a.yaml", text)
    assert len(loaded.ruleset.journeys) == 2
    assert loaded.warnings == ()


@pytest.mark.parametrize("text", RIGHT_POLICIES.values(), ids=RIGHT_POLICIES)
def test_takes_policies(tmp_path: Path, text: str) -> None:
    """A right policy is loaded without a warning."""
    assert _load(tmp_path, "policy.yaml", text).warnings == ()


@pytest.mark.parametrize("text", RIGHT_LIFECYCLES.values(), ids=RIGHT_LIFECYCLES)
def test_takes_lifecycles(tmp_path: Path, text: str) -> None:
    """A right lifecycle is loaded without a warning."""
    assert _load(tmp_path, "lifecycle.yaml", text).warnings == ()


def _assert_refused(folder: Path, name: str, wrong: Wrong) -> None:
    rules, templates = _lay_out(folder, {f"rules/{name}": wrong.text})
    found = [str(mistake) for mistake in check_directory(rules, templates)]
    assert any(line.startswith(f"{name}:{wrong.at}") and wrong.says in line for line in found), found


@pytest.mark.parametrize("wrong", WRONG_JOURNEYS.values(), ids=WRONG_JOURNEYS)
def test_refuses_journeys(tmp_path: Path, wrong: Wrong) -> None:
    """A wrong journey is refused with the line and column of the mistake, and its cure."""
    _assert_refused(tmp_path, "journeys/a.yaml", wrong)


@pytest.mark.parametrize("wrong", WRONG_POLICIES.values(), ids=WRONG_POLICIES)
def test_refuses_policies(tmp_path: Path, wrong: Wrong) -> None:
    """A wrong policy is refused with the line and column of the mistake, and its cure."""
    _assert_refused(tmp_path, "policy.yaml", wrong)


@pytest.mark.parametrize("wrong", WRONG_LIFECYCLES.values(), ids=WRONG_LIFECYCLES)
def test_refuses_lifecycles(tmp_path: Path, wrong: Wrong) -> None:
    """A wrong lifecycle is refused with the line and column of the mistake, and its cure."""
    _assert_refused(tmp_path, "lifecycle.yaml", wrong)
