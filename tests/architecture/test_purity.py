"""The decision core touches no clock, randomness, environment or I/O."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.installation import distributions_of
from tests.architecture.purity import (
    BANNED_ATTRIBUTES,
    BANNED_CALLS,
    BANNED_MODULES,
    EXCEPTIONS,
    NEEDS_ARGUMENT,
    Violation,
    violations_in,
)

ROOT = Path(__file__).resolve().parents[2]
CORE = sorted((ROOT / "services" / "rules" / "core").rglob("*.py"))
BANS = sorted((ROOT / "tests" / "fixtures" / "bans").glob("*.py"))


def _expected(path: Path) -> list[Violation]:
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    marked = ((number, re.findall(r"# caught: (.+?)(?= # caught: |$)", line)) for number, line in lines)
    return [Violation(path.name, number, message) for number, messages in marked for message in sorted(messages)]


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_core_module_breaks_no_ban(path: Path) -> None:
    """A module of the core does nothing on the ban list."""
    assert violations_in(path) == []


@pytest.mark.parametrize("path", BANS, ids=lambda path: path.stem)
def test_each_ban_is_caught(path: Path) -> None:
    """A fixture that breaks a ban is caught at that line, with that message, and nowhere else."""
    expected = _expected(path)
    assert expected
    assert violations_in(path) == expected


def test_every_ban_has_a_fixture() -> None:
    """Nothing on the ban list is without a fixture that breaks it: no module, no call, no attribute."""
    caught = {violation.message for path in BANS for violation in _expected(path)}
    modules = {f"{group}: import of {module}" for group, modules in BANNED_MODULES.items() for module in modules}
    asked_of_the_machine = {message for _, message in NEEDS_ARGUMENT.values()}
    bans = {*modules, *BANNED_CALLS.values(), *BANNED_ATTRIBUTES.values(), *asked_of_the_machine, "concurrency: async code"}
    assert {message for message in caught if not message.startswith("direction:")} == bans
    assert {message for message in caught if message.startswith("direction:")} >= {"direction: relative import"}


def test_every_exception_is_used_and_banned_nowhere() -> None:
    """An exception that no module of the core needs any more goes from the list."""
    imported = {name for path in CORE for name in re.findall(r"^(?:from|import) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)}
    assert set(EXCEPTIONS) <= imported
    assert not set(EXCEPTIONS) & {module for modules in BANNED_MODULES.values() for module in modules}


def test_zones_are_there_on_a_machine_without_tz_files() -> None:
    """With no tz files of the machine's own, the package tzdata, which comes with `povod[rules]`, answers."""
    code = "import zoneinfo; zoneinfo.reset_tzpath([]); print(zoneinfo.ZoneInfo('Europe/Moscow').key)"
    answer = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout == "Europe/Moscow\n"
    assert "tzdata" in distributions_of("rules")
