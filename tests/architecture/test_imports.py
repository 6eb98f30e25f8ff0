"""The direction of imports, and what importing may do."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

VIOLATIONS = [
    ("services/ingest/wrong.py", "import services.dispatch", "direction"),
    ("services/rules/wrong.py", "import services.ingest", "direction"),
    ("services/dispatch/wrong.py", "import services.rules", "direction"),
    ("services/consent/wrong.py", "import services.rules", "direction"),
    ("services/runtime/wrong.py", "import services.consent", "direction"),
    ("services/contracts/wrong.py", "import services.runtime", "direction"),
    ("services/authoring/wrong.py", "import services.ingest", "direction"),
    ("services/ingest/wrong.py", "import services.commands", "direction"),
    ("services/rules/core/wrong.py", "import services.runtime.clock", "decision core"),
    ("services/rules/core/wrong.py", "import sqlalchemy", "decision core"),
    ("services/rules/core/wrong.py", "import structlog", "decision core"),
]
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


@pytest.mark.parametrize(("file", "line", "contract"), VIOLATIONS, ids=[f"{file}:{line}" for file, line, _ in VIOLATIONS])
def test_a_wrong_import_is_caught(tmp_path: Path, file: str, line: str, contract: str) -> None:
    """An import against the direction breaks the contract that forbids it."""
    shutil.copytree(ROOT / "services", tmp_path / "services", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / file).write_text(f"{line}\n", encoding="utf-8")
    result = _lint_imports(tmp_path)
    assert result.returncode == 1
    assert any(contract in text and "BROKEN" in text for text in result.stdout.splitlines()), result.stdout
    assert file.removesuffix(".py").replace("/", ".") in result.stdout


def test_importing_does_nothing() -> None:
    """Every module can be imported with sockets, processes, databases and temporary files forbidden."""
    result = subprocess.run([sys.executable, "-c", IMPORT_ALL], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > len("services")
