"""The decision core touches no clock, randomness, environment or I/O."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.installation import distributions_of
from tests.architecture.purity import BANNED_MODULES, EXCEPTIONS, Violation, violations_in

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


def test_every_group_of_bans_has_a_fixture() -> None:
    """No group of the ban list is without a fixture that breaks it."""
    caught = {violation.message.partition(":")[0] for path in BANS for violation in _expected(path)}
    assert caught == {*BANNED_MODULES, "direction"}


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
