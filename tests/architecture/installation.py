"""Which libraries an extra of pyproject.toml brings, and running Python as if only those were installed."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

from packaging.requirements import Requirement

from tests.architecture.source import ROOT

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_PRELUDE = """
import importlib, json, pkgutil, sys
BLOCKED = frozenset(json.loads(sys.argv.pop(1)))

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


def run_with_extra(extra: str, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process that finds no library beyond those of `povod[extra]`."""
    command = [sys.executable, "-c", _PRELUDE + code, json.dumps(sorted(_blocked(extra))), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def _blocked(extra: str) -> set[str]:
    brought = distributions_of(extra)
    packages = packages_distributions()
    ours = {"services", "tests", "bench"}
    return {name for name, owners in packages.items() if not brought & {_normal(owner) for owner in owners}} - ours - {"pip", "setuptools"}


def distributions_of(extra: str) -> set[str]:
    """Return the names of all distributions that `pip install povod[extra]` brings."""
    waiting = [Requirement(line) for line in (*_PROJECT["dependencies"], *_PROJECT["optional-dependencies"][extra])]
    found: set[str] = set()
    while waiting:
        waiting += _follow(waiting.pop(), found)
    return found


def _follow(requirement: Requirement, found: set[str]) -> list[Requirement]:
    """Note a requirement; return those it leads to."""
    if requirement.name == "povod":
        return [Requirement(line) for extra in requirement.extras for line in _PROJECT["optional-dependencies"][extra]]
    name = _normal(requirement.name)
    if name in found and not requirement.extras:
        return []
    found.add(name)
    return [below for line in _requires(name) if _is_wanted(below := Requirement(line), requirement.extras)]


def _requires(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


def _is_wanted(requirement: Requirement, extras: set[str]) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
