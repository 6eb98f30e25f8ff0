"""`povod pause` and `povod resume` as a user types them."""

import json
import subprocess
import sys
from pathlib import Path


def povod(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command on a data folder."""
    command = [sys.executable, "-m", "services.cli", "--data", str(data), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_pause_and_resume_show_what_is_held(tmp_path: Path) -> None:
    """A switch is set, shown, lifted; lifting it twice says so; a wrong call is told what is wrong."""
    povod(tmp_path, "db", "upgrade")
    (paused,) = json.loads(povod(tmp_path, "pause", "journey", "cart", "--json").stdout)["holds"]
    resumed = povod(tmp_path, "resume", "journey", "cart")
    again = povod(tmp_path, "resume", "journey", "cart")
    wrong = povod(tmp_path, "pause", "channel")
    assert (paused["scope"], paused["name"]) == ("journey", "cart")
    assert (resumed.stdout, resumed.stderr) == ("Nothing is paused.\n", "")
    assert again.stderr == "journey cart was not paused\n"
    assert (wrong.returncode, "which channel? give its name" in wrong.stderr) == (2, True)
