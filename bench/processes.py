"""Processes under measurement: started as a user starts them, awaited until they answer, ended, their output kept."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.figures import CannotMeasureError
from deploy.local.ports import free_port

UVICORN = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning", "--timeout-keep-alive", "5")
"""The settings with which `povod ingest` runs its server, as options."""


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process for the length of the block; at its end SIGTERM, and SIGKILL to what does not obey."""
    with output.open("ab") as file:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        yield process
        if process.poll() is not None:
            raise CannotMeasureError(f"{' '.join(command)} ended by itself ({process.returncode}): {tail_of(output)}")
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def processor_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return the processor time that a running process has used (Linux; 0 elsewhere): it says more than rates on a busy machine."""
    stat = Path(f"/proc/{process.pid}/stat")
    if not stat.exists():
        return 0.0
    fields = stat.read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tail_of(output: Path, lines: int = 5) -> str:
    """Return the last lines of a process's output."""
    return " | ".join(output.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


@contextmanager
def uvicorn(application: str, environment: Mapping[str, str], output: Path) -> Iterator[str]:
    """Serve an ASGI application in one worker; give its address."""
    port = free_port()
    command = (sys.executable, "-m", "uvicorn", application, "--port", str(port), *UVICORN)
    with running(command, environment, output) as process:
        wait_until_listening(port, process, output)
        yield f"http://127.0.0.1:{port}"


def povod(*arguments: str) -> tuple[str, ...]:
    """Return the command line of a `povod` command."""
    return (sys.executable, "-m", "services.cli", *arguments)


def call_povod(environment: Mapping[str, str], *arguments: str) -> str:
    """Run a `povod` command to its end; return what it printed."""
    done = subprocess.run(povod(*arguments), env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise CannotMeasureError(f"povod {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout


def wait_until_listening(port: int, process: subprocess.Popen[bytes], output: Path, seconds: float = 30) -> None:
    """Return once somebody listens on the port."""
    deadline = time.monotonic() + seconds
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        _give_up(process, output, deadline, f"nothing listens on port {port}")


def wait_until_ready(base_url: str, process: subprocess.Popen[bytes], output: Path, seconds: float = 30) -> None:
    """Return once `/readyz` says yes."""
    deadline = time.monotonic() + seconds
    while not _is_ready(base_url):
        _give_up(process, output, deadline, f"{base_url}/readyz does not say yes")


def _is_ready(base_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base_url}/readyz", timeout=2) as answer:  # noqa: S310 - an address of ours
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _give_up(process: subprocess.Popen[bytes], output: Path, deadline: float, why: str) -> None:
    if process.poll() is not None or time.monotonic() > deadline:
        raise CannotMeasureError(f"{why}: {tail_of(output)}")
    time.sleep(0.05)
