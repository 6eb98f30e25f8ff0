"""Install the clients once, outside the checkout: `POVOD_TEST_CLIENTS`, or a folder of the user's cache."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.clients.catalogue import Home

HERE = Path(__file__).parent
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def missing(home: Home) -> str | None:
    """Return what a client's home lacks on this machine, None where nothing is."""
    if home in {"node", "browser"} and not (shutil.which("node") and shutil.which("npm")):
        return "no Node: install node and npm"
    if home == "browser" and chromium() is None:
        return "no Chromium: install chromium"
    return None


def chromium() -> str | None:
    """Return the path of a Chromium."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


def python_of(home: Home) -> Path:
    """Return the interpreter of an environment that holds `requirements-<home>.txt`, making it where there is none."""
    requirements = HERE / "python" / f"requirements-{home}.txt"
    folder = _folder(home, [requirements], f"{sys.version_info.major}.{sys.version_info.minor}")
    python = folder / "bin" / "python"
    if not _is_done(folder):
        _run(sys.executable, "-m", "venv", str(folder))
        _run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements))
        _note_done(folder)
    return python


def node_folder() -> Path:
    """Return a folder with `node_modules`, the drivers and the pages: modules are looked for beside who imports them."""
    files = [HERE / "node" / "package.json", HERE / "node" / "package-lock.json"]
    folder = _folder("node", files, "")
    if not _is_done(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copy(file, folder)
        # Not `npm ci`: it refuses a lock made where some other platform's optional binary was out of reach.
        _run("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", folder=folder)
        _note_done(folder)
    for script in [*(HERE / "node").glob("*.mjs"), *(HERE / "browser").glob("*.mjs")]:
        target = folder / script.parent.name / script.name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(script, target)
    return folder


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
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
