"""What the OpenAPI document promises holds, whatever is sent: schemathesis makes the requests."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kill import engines
from tests.kill.fleet import Fleet
from tests.kill.rounds import wait_until_ready

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = 25
"""Requests a phase and operation."""
NOWHERE = 9
"""A port on which no mail server listens: nothing is sent here."""


@pytest.mark.timeout(300)
async def test_every_answer_is_a_documented_one(tmp_path: Path) -> None:
    """No generated request meets a 5xx, a status that the document does not name, or a body of another shape."""
    engine = await engines.embedded_engine(tmp_path, NOWHERE)
    fleet = Fleet(engine.commands, engine.environment, tmp_path)
    fleet.start_all()
    try:
        await wait_until_ready(engine.base_url)
        command = (str(Path(sys.executable).with_name("schemathesis")), "run", f"{engine.base_url}/openapi.json", "--checks", CHECKS)
        options = ("--max-examples", str(EXAMPLES), "--header", f"Authorization: Bearer {engine.write_key}", "--no-color")
        done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: ASYNC221 - nothing else runs
    finally:
        fleet.stop_all(20)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Test cases:" in done.stdout
