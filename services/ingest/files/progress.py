"""What a run has done so far, kept in a file so that the next one goes on there. The file is written after the log acknowledged."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from services.contracts.errors import Rejected

_BLOCK = 1 << 20


class Rejection(msgspec.Struct):
    """Events rejected for one reason: how many, and the first of them (line and column from 1)."""

    count: int
    line: int
    column: int
    message: str


class Progress(msgspec.Struct):
    """The figures of one file. `rows` were read and answered for; an accepted event was `clamped` where its time was moved.

    `left_out` names what accepted events lost on the way (an address that is none). `rejected_bytes` is how long the file of rejects was
    then; `done`: there was nothing behind.
    """

    rows: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    clamped: int = 0
    codes: dict[str, Rejection] = {}
    left_out: dict[str, Rejection] = {}
    rejected_bytes: int = 0
    done: bool = False


class ProgressFile:
    """Where the progress of one import lies."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"{name}.json"

    def load(self) -> Progress:
        """Return what was kept; nothing where there is none, or none that can be read: a repeat does no harm."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Progress)
        except (FileNotFoundError, msgspec.MsgspecError):
            return Progress()

    def save(self, progress: Progress) -> None:
        """Keep it, whole or not at all."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(progress))
        os.replace(draft, self._path)  # noqa: PTH105 - Path.replace, which says the same, is no clearer

    def forget(self) -> None:
        """Begin anew next time."""
        self._path.unlink(missing_ok=True)


def key_of(fingerprint: str, how: Sequence[str]) -> str:
    """Return the name under which an import's progress is kept: the same file, asked for in the same way, into the same place."""
    return f"{fingerprint}-{hashlib.blake2b(msgspec.json.encode(how), digest_size=6).hexdigest()}"


def fingerprint(path: Path, on_bytes: Callable[[int], object] = lambda _size: None) -> str:
    """Return 128 bits of a file's contents in hex; `on_bytes` is told how much was read. Raises `Rejected` where it can't be read."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                on_bytes(len(block))
    except OSError as error:
        raise Rejected(f"{path}: can't be read: {error}", code="unreadable_file") from error
    return digest.hexdigest()
