"""`docs/keys.md` is true: its commands run in their order, and its recipes sign as ingest expects."""

import subprocess
from pathlib import Path

from click.testing import CliRunner

from services.cli import povod
from services.commands.invocation import Invocation
from services.ingest.identity import sign_customer
from tests.clients import installing
from tests.docs.blocks import Block, blocks

COMMANDS = [
    line.partition("#")[0].split()[1:] for block in blocks("shell") if block.page.name == "keys.md" for line in block.body.splitlines()
]
SECRET = "5f" * 32
CUSTOMER = "клиент 42"


def _recipe(language: str) -> Block:
    (found,) = (block for block in blocks(language) if block.what == "signature")
    return found


def test_the_commands_run(tmp_path: Path) -> None:
    """Each command of the page works as it stands, one after the other in a new data folder."""
    for words in [["db", "upgrade"], *COMMANDS]:
        result = CliRunner().invoke(povod, [*words, "--data", str(tmp_path)], obj=Invocation({}))
        assert result.exit_code == 0, result.output
    assert len(COMMANDS) == 8


def test_python_signs() -> None:
    """The Python recipe makes the signature that ingest checks."""
    found: dict[str, object] = {}
    exec(_recipe("python").body, found)  # noqa: S102 - our own page
    assert found["signature"](SECRET, CUSTOMER) == sign_customer(SECRET, CUSTOMER)  # type: ignore[operator]  # the recipe's function


def test_javascript_signs(tmp_path: Path) -> None:
    """So does the JavaScript one."""
    script = tmp_path / "sign.mjs"
    script.write_text(f"{_recipe('js').body}\nconsole.log(signature({SECRET!r}, {CUSTOMER!r}))\n", encoding="utf-8")
    printed = subprocess.run([str(installing.node()), str(script)], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == sign_customer(SECRET, CUSTOMER)
