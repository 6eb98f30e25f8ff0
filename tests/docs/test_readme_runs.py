"""The README's first success: its commands and its curl run as they stand there, on the embedded engine."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from deploy.local.ports import free_port
from tests.docs.blocks import ROOT, blocks

README = [block for block in blocks("shell") if block.page.name == "README.md"]
PATIENCE = 30.0


class Project(NamedTuple):
    """A folder as the README's reader has it, and the variables that keep the test off the reader's ports."""

    folder: Path
    environment: dict[str, str]
    port: int

    def povod(self, *arguments: str) -> str:
        """Run a command to its end and return what it printed."""
        command = (sys.executable, "-m", "services.cli", *arguments)
        return subprocess.run(command, cwd=self.folder, env=self.environment, check=True, stdout=subprocess.PIPE, text=True).stdout


class Curl(NamedTuple):
    """What a curl command says."""

    url: str
    headers: dict[str, str]
    body: str


def _commands(word: str) -> list[list[str]]:
    """Return the README's command lines that begin with a word, split as a shell does."""
    lines = [line for block in README for line in block.body.replace("\\\n", " ").splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(word)]


def _curl(block: str, key: str) -> Curl:
    _, url, *rest = shlex.split(block.replace("$POVOD_KEY", key))
    options = list(zip(rest[::2], rest[1::2], strict=True))
    headers = dict(value.split(": ", 1) for option, value in options if option == "-H")
    return Curl(url, headers, next(value for option, value in options if option == "-d"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Lay out the example rules and templates in a folder of their own."""
    for name in ("rules", "templates"):
        shutil.copytree(ROOT / name, tmp_path / name)
    port = free_port()
    variables = {name: value for name, value in os.environ.items() if not name.startswith("POVOD_")}
    return Project(tmp_path, {**variables, "PYTHONPATH": str(ROOT), "POVOD_INGEST__PORT": str(port)}, port)


@pytest.fixture
def serving(project: Project) -> Iterator[str]:
    """Run the README's commands in their order, `serve` at their end; give the write key that `keys create` printed."""
    *before, serve = _commands(".venv/bin/povod")[:3]
    printed = [project.povod(*command[1:], *(["--json"] if "keys" in command else [])) for command in before]
    with (project.folder / "serve.log").open("wb") as output:
        process = subprocess.Popen(
            (sys.executable, "-m", "services.cli", *serve[1:]), cwd=project.folder, env=project.environment, stdout=output, stderr=output
        )
    try:
        yield json.loads(printed[-1])["key"]
    finally:
        process.terminate()
        process.wait(20)


def _eventually(question: Callable[[], bool], folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not question():
        assert time.monotonic() < deadline, (folder / "serve.log").read_text(encoding="utf-8")
        time.sleep(0.2)


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _said_of(project: Project, why: list[str]) -> str:
    """Return what `povod why` prints; nothing as long as the customer is not known yet."""
    try:
        return project.povod(*why)
    except subprocess.CalledProcessError:
        return ""


def test_first_event(project: Project, serving: str) -> None:
    """The README's curl is accepted, and `povod why` then names the journey that it set off."""
    _eventually(lambda: _is_ready(project.port), project.folder)
    curl = _curl(next(block.body for block in README if block.body.startswith("curl")), serving)
    told = project._replace(environment={**project.environment, "POVOD_KEY": serving})  # the reader has exported it
    answer = httpx.post(curl.url.replace("8080", str(project.port)), headers=curl.headers, content=curl.body)
    assert (answer.status_code, answer.json()["accepted"]) == (httpx.codes.OK, 1)
    (_, *why) = _commands(".venv/bin/povod why")[0]
    _eventually(lambda: "welcome" in _said_of(told, why), project.folder)
