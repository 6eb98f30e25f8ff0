"""Processes that outlive the command that started them: a pid file, a port, a wait until they answer."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from ports import free_port


class CanNotStartError(Exception):
    """Something is missing or does not come up; the message says what to do."""


def remembered_port(file: Path, wanted: int) -> int:
    """Return the port written in `file`; the first time, or where another is wanted, write `wanted` (0: a free one) there."""
    if wanted or not file.exists():
        file.write_text(str(wanted or free_port()))
    return int(file.read_text())


def spawn(command: Sequence[str], folder: Path) -> None:
    """Start a process of its own session; its pid goes to `pid`, its output to `output.log` in the folder."""
    with (folder / "output.log").open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd=folder)
    (folder / "pid").write_text(str(process.pid))


def pid_of(folder: Path, mark: str) -> int | None:
    """Return the pid of the process started in the folder, if it lives and its command line holds `mark` (pids are reused)."""
    with suppress(FileNotFoundError, ValueError):
        pid = int((folder / "pid").read_text())
        return pid if mark in _command_line(pid) else None
    return None


def _command_line(pid: int) -> str:
    """Return a living process's command line, empty where there is none or it is a zombie; `ps` where there is no /proc."""
    if Path("/proc/self/cmdline").exists():
        with suppress(FileNotFoundError, ProcessLookupError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    seen = subprocess.run(["ps", "-o", "stat=,command=", "-ww", "-p", str(pid)], capture_output=True, text=True, check=False)
    return "" if seen.stdout.startswith("Z") else seen.stdout


def end(pid: int, how: signal.Signals, *, seconds: float = 30) -> None:
    """Send a signal and wait until the process is gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, how)
    wait_for(lambda: not _command_line(pid), seconds, f"process {pid} does not end")


def wait_for(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Return once the condition holds; raises `CanNotStartError` after that many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise CanNotStartError(otherwise)
        time.sleep(0.1)
