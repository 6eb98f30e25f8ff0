"""The direction of imports, and what importing may do."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

WRONG = [
    ("services.ingest", "services.dispatch"),
    ("services.rules", "services.ingest"),
    ("services.dispatch", "services.rules"),
    ("services.consent", "services.rules"),
    ("services.runtime", "services.consent"),
    ("services.contracts", "services.runtime"),
    ("services.authoring", "services.ingest"),
    ("services.ingest", "services.commands"),
    ("services.rules.core", "services.runtime"),
    ("services.rules.core", "sqlalchemy"),
    ("services.rules.core", "structlog"),
]
"""Who may not import what."""
IMPORT_ALL = """
import importlib, pkgutil, sys
FORBIDDEN = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "sqlite3.", "shutil.", "tempfile.", "urllib.")
def hook(event, args):
    if event.startswith(FORBIDDEN):
        raise RuntimeError(f"import does I/O: {event} {args}")
import services
names = [module.name for module in pkgutil.walk_packages(services.__path__, "services.")]
for library in ("aiokafka", "aiosmtplib", "aiosmtpd.controller", "alembic.command", "asyncpg", "fastapi", "httpx", "jinja2", "rich.console",
                "sqlalchemy.ext.asyncio", "uvicorn"):
    importlib.import_module(library)  # what they do when they are imported is their own business
sys.addaudithook(hook)
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    executable = Path(sys.executable).parent / "lint-imports"
    return subprocess.run([executable, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def test_imports_go_one_way() -> None:
    """The contracts in pyproject.toml hold."""
    result = _lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.fixture(scope="module")
def broken_project(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what import-linter says of a copy of the project in which every wrong import stands in a module of its own."""
    folder = tmp_path_factory.mktemp("broken")
    shutil.copytree(ROOT / "services", folder / "services", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for number, (importer, imported) in enumerate(WRONG):
        (folder / importer.replace(".", "/") / f"wrong_{number}.py").write_text(f"import {imported}\n", encoding="utf-8")
    result = _lint_imports(folder)
    assert result.returncode == 1
    return result.stdout


@pytest.mark.parametrize(("number", "importer", "imported"), [(n, *pair) for n, pair in enumerate(WRONG)], ids=map("->".join, WRONG))
def test_a_wrong_import_is_caught(broken_project: str, number: int, importer: str, imported: str) -> None:
    """An import against the direction is named by the contract that it breaks."""
    assert f"{importer}.wrong_{number} -> {imported} (l.1)" in broken_project


def test_importing_does_nothing() -> None:
    """Every module can be imported with sockets, processes, databases and temporary files forbidden."""
    result = subprocess.run([sys.executable, "-c", IMPORT_ALL], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > len("services")
