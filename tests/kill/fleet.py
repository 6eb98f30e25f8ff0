"""The processes under attack: started as an operator starts them, killed as a machine kills them."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_PATIENCE = 20.0
"""Seconds in which a process must end after SIGTERM."""


class Fleet:
    """Named `povod` processes with their logs in one folder."""

    def __init__(self, commands: Mapping[str, tuple[str, ...]], environment: Mapping[str, str], folder: Path) -> None:
        self._commands = commands
        self._environment = {**os.environ, **environment}
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.kills = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all processes, running or not."""
        return tuple(self._commands)

    def start(self, name: str) -> None:
        """Start a process; its output is appended to `<name>.log`."""
        environment = {**self._environment, "POVOD_LOG__INSTANCE": name}
        with (self._folder / f"{name}.log").open("ab") as output:
            self._running[name] = subprocess.Popen(
                (sys.executable, "-m", "services.cli", *self._commands[name]), stdout=output, stderr=output, env=environment
            )

    def start_all(self) -> None:
        """Start every process."""
        for name in self._commands:
            self.start(name)

    def kill(self, name: str) -> None:
        """SIGKILL it and wait until it is gone."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.kills += 1

    def stop(self, name: str) -> None:
        """SIGTERM it and wait until it is gone; raises `TimeoutExpired` where it takes longer than it may."""
        process = self._running.pop(name)
        process.terminate()
        process.wait(_PATIENCE)

    def freeze(self, name: str) -> None:
        """SIGSTOP it: a zombie that believes it still owns what it owned."""
        self._running[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """SIGCONT it."""
        self._running[name].send_signal(signal.SIGCONT)

    def dead(self) -> tuple[str, ...]:
        """Return the processes that ended by themselves: none should."""
        return tuple(name for name, process in self._running.items() if process.poll() is not None)

    def stop_all(self, timeout: float = _PATIENCE) -> None:
        """SIGTERM all and wait; whoever does not end in time is killed."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def count_in_logs(self, text: str, name: str = "*") -> int:
        """Return how often `text` stands in the logs, or in one process's."""
        return sum(path.read_text(errors="replace").count(text) for path in self._folder.glob(f"{name}.log"))
