"""Reading a rule set's files and its templates from disk: bounded, UTF-8, nothing outside the folder."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from services.contracts.ids import TemplateName
from services.rules.loader.documents import MAX_BYTES
from services.rules.loader.mistakes import Findings, Place

POLICY = "policy.yaml"
LIFECYCLE = "lifecycle.yaml"
JOURNEYS = "journeys"
LAYOUTS = "_layouts"
"""The templates folder's shared layouts: part of every template's content."""
_PLANNED = ("traits.yaml", "segments.yaml")
_MAX_FILES = 10_000


def read_rules(directory: Path, findings: Findings) -> dict[str, str]:
    """Return the rule files by their path below `directory`; notes what is missing or unreadable."""
    if not directory.is_dir():
        findings.error(Place(str(directory)), "there is no such folder", "name the folder that holds journeys/")
        return {}
    for name in _PLANNED:
        if (directory / name).exists():
            findings.error(Place(name), "this file is not supported yet", "move it out of the rules folder")
    names = [name for name in (POLICY, LIFECYCLE) if (directory / name).is_file()]
    names += sorted(f"{JOURNEYS}/{file.name}" for file in _journeys(directory, findings))
    if not any(name.startswith(f"{JOURNEYS}/") for name in names):
        findings.error(Place(JOURNEYS), "the rule set has no journeys", "write one: journeys/welcome.yaml")
    texts = {name: _read(directory / name, name, findings) for name in names}
    return {name: text for name, text in texts.items() if text is not None}


def read_templates(directory: Path, findings: Findings) -> dict[TemplateName, dict[str, str]]:
    """Return each template's files by their path below its folder, and with them the shared layouts.

    A template is a folder `<name>/<channel>/<language>/`. A missing folder has no templates.
    """
    if not directory.is_dir():
        return {}
    layouts = {f"{LAYOUTS}/{name}": text for name, text in _tree(directory / LAYOUTS, findings)}
    folders = sorted(folder for folder in directory.iterdir() if folder.is_dir() and not folder.name.startswith(("_", ".")))
    return {TemplateName(folder.name): layouts | dict(_tree(folder, findings)) for folder in folders}


def channels_of(files: Mapping[str, str]) -> frozenset[str]:
    """Return the channels that a template is written for: its subfolders."""
    return frozenset(name.split("/", 1)[0] for name in files if name.count("/") >= 2 and not name.startswith(("_", ".")))


def _journeys(directory: Path, findings: Findings) -> Iterator[Path]:
    folder = directory / JOURNEYS
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if file.suffix == ".yaml" and file.is_file():
            yield file
        elif file.suffix == ".yml":
            findings.error(Place(f"{JOURNEYS}/{file.name}"), "the name must end in .yaml", f"rename it to {file.stem}.yaml")


def _tree(folder: Path, findings: Findings) -> Iterator[tuple[str, str]]:
    if not folder.is_dir():
        return
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    for file in files[:_MAX_FILES]:
        name = file.relative_to(folder).as_posix()
        text = _read(file, f"{folder.name}/{name}", findings)
        if text is not None:
            yield name, text


def _read(file: Path, name: str, findings: Findings) -> str | None:
    try:
        if file.stat().st_size > MAX_BYTES:
            findings.error(Place(name), f"the file is larger than {MAX_BYTES} bytes", "split it")
            return None
        return file.read_bytes().decode()
    except UnicodeDecodeError:
        findings.error(Place(name), "the file is not UTF-8", "save it as UTF-8")
    except OSError as error:
        findings.error(Place(name), f"the file can't be read: {error.strerror}", "check its permissions")
    return None
