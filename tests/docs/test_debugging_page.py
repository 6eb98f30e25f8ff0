"""`docs/debugging.md` is true: its commands lead from nothing to the first event on the debug page, and to the topics."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import httpx
import pytest

from tests.docs.blocks import blocks
from tests.docs.test_readme_runs import Project, _curl, _eventually, _is_ready, project  # noqa: F401 - the fixture too

PAGE = [block.body for block in blocks("shell") if block.page.name == "debugging.md"]
COMMANDS = [line.split()[1:] for body in PAGE for line in body.splitlines() if line.startswith(".venv/bin/povod")]
POST, ASK = (body for body in PAGE if body.startswith("curl"))


class Running(NamedTuple):
    """What the page's reader has now."""

    project: Project
    key: str
    admin: str


@pytest.fixture
def running(project: Project) -> Iterator[Running]:  # noqa: F811 - the fixture
    """Run the page's commands in their order up to `serve`."""
    upgrade, shop, me, serve = COMMANDS[:4]
    project.povod(*upgrade)
    keys = [json.loads(project.povod(*command, "--json"))["key"] for command in (shop, me)]
    with (project.folder / "serve.log").open("wb") as output:
        command = (sys.executable, "-m", "services.cli", *serve)
        process = subprocess.Popen(command, cwd=project.folder, env=project.environment, stdout=output, stderr=output)
    try:
        _eventually(lambda: _is_ready(project.port), project.folder)
        yield Running(project, *keys)
    finally:
        process.terminate()
        process.wait(20)


def test_from_nothing_to_the_first_event(running: Running) -> None:
    """The events posted as the page says stand there accepted and rejected, the page itself is served, and `tail` shows the event."""
    here = f"http://127.0.0.1:{running.project.port}"
    post, ask = _curl(POST, running.key), _curl(f"{ASK.rstrip()} -d x", "").url.replace("http://127.0.0.1:8080", here)
    answer = httpx.post(post.url.replace("http://127.0.0.1:8080", here), headers=post.headers, content=post.body)
    assert [result["status"] for result in answer.json()["results"]] == ["accepted", "rejected"]
    seen = httpx.get(ask, headers={"authorization": f"Bearer {running.admin}"}).json()["events"]
    assert [(each["status"], each.get("code"), each.get("id")) for each in seen] == [
        ("rejected", "missing_customer", None),
        ("accepted", None, "first"),
    ]
    assert httpx.get(f"{here}/debug").headers["content-type"] == "text/html; charset=utf-8"
    tail, since, rejected = (command for command in COMMANDS if command[0] == "tail")
    shown = running.project.povod(*tail, "--no-follow", "--json").splitlines()
    assert [json.loads(line)["value"]["id"] for line in shown] == ["first"]
    assert running.project.povod(*since) == ""
    assert "  missing_customer  " in running.project.povod(*rejected, "--no-follow")
