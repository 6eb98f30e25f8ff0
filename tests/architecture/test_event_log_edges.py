"""The event log's libraries stay behind its edge."""

import ast
import subprocess
import sys
from pathlib import Path

import services

PACKAGE = Path(services.__file__).parent


def imports_of(file: Path) -> set[str]:
    """Return the top-level names of the packages that a module imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def users_of(library: str) -> set[str]:
    """Return the modules of `services` that import a library, as paths below it."""
    return {file.relative_to(PACKAGE).as_posix() for file in PACKAGE.rglob("*.py") if library in imports_of(file)}


def test_only_the_adapter_knows_aiokafka() -> None:
    """The library is imported by the `kafka_*` modules of the event log and nowhere else, so its exceptions have one edge to cross."""
    users = users_of("aiokafka")
    assert users
    assert {user for user in users if not user.startswith("runtime/eventlog/kafka")} == set()


def test_only_the_embedded_log_knows_sqlite3() -> None:
    """The log's own use of `sqlite3` stays in its `embedded*` modules; everybody else goes through the database port."""
    users = {user for user in users_of("sqlite3") if user.startswith("runtime/eventlog/")}
    assert {user for user in users if not user.startswith("runtime/eventlog/embedded")} == set()


def test_the_embedded_log_needs_no_kafka_library() -> None:
    """Opening the embedded log imports nothing of aiokafka: an installation without that extra works."""
    code = (
        "import sys; from pathlib import Path;"
        "from services.runtime.clock import SystemClock; from services.runtime.settings import LogSettings;"
        "from services.runtime.eventlog.opening import open_log; open_log(LogSettings(), Path('nowhere'), SystemClock());"
        "sys.exit('aiokafka' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parent)
