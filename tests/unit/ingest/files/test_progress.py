"""What a run has done is kept whole or not at all, under a name that changes with the file and with what was asked."""

from pathlib import Path

import pytest

from services.contracts.errors import Rejected
from services.ingest.files.progress import Progress, ProgressFile, Rejection, fingerprint, key_of


def test_what_is_kept_is_loaded(tmp_path: Path) -> None:
    """Figures, reasons and the position come back."""
    progress = Progress(rows=7, accepted=5, rejected=2, codes={"invalid_time": Rejection(2, 4, 2, "soon is no time")}, rejected_bytes=99)
    ProgressFile(tmp_path / "imports", "a").save(progress)
    assert ProgressFile(tmp_path / "imports", "a").load() == progress
    assert ProgressFile(tmp_path / "imports", "b").load() == Progress()


def test_what_can_not_be_read_is_a_beginning(tmp_path: Path) -> None:
    """A file cut short by a power failure is taken for none: a repeat does no harm."""
    (tmp_path / "a.json").write_bytes(b'{"rows": 7, "acc')
    assert ProgressFile(tmp_path, "a").load() == Progress()


def test_forgetting_begins_anew(tmp_path: Path) -> None:
    """Nothing is left, and forgetting nothing is harmless."""
    kept = ProgressFile(tmp_path, "a")
    kept.save(Progress(rows=7, done=True))
    kept.forget()
    kept.forget()
    assert kept.load() == Progress()


def test_a_fingerprint_is_of_the_contents(tmp_path: Path) -> None:
    """Equal contents are one file whatever their names; one byte makes another."""
    for name, content in (("a", b"x" * 3_000_000), ("b", b"x" * 3_000_000), ("c", b"x" * 2_999_999 + b"y")):
        (tmp_path / name).write_bytes(content)
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b") != fingerprint(tmp_path / "c")
    assert len(fingerprint(tmp_path / "a")) == 32
    with pytest.raises(Rejected, match="can't be read"):
        fingerprint(tmp_path / "none")


def test_another_way_of_asking_is_another_import() -> None:
    """The map, the source and the place it goes to are part of the name."""
    assert key_of("f", ["map", "shop"]) == key_of("f", ["map", "shop"])
    assert len({key_of("f", ["map", "shop"]), key_of("f", ["map", "till"]), key_of("g", ["map", "shop"])}) == 3
