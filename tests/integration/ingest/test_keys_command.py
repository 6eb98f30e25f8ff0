"""`povod keys` as a user types it."""

import json
from pathlib import Path

import pytest

from services.cli import main


def _povod(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run a command on a data folder; return its exit code and what it printed."""
    with pytest.raises(SystemExit) as exited:
        main([*arguments, "--data", str(folder)], environ={})
    printed = capsys.readouterr()
    return int(exited.value.code or 0), printed.out, printed.err


@pytest.fixture
def folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Path:
    """Return a data folder with a migrated database."""
    assert _povod(capsys, tmp_path, "db", "upgrade")[0] == 0
    return tmp_path


def test_a_key_is_printed_once(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """`create` prints nothing but the key; the list shows its name and scope and never the key."""
    code, secret, _ = _povod(capsys, folder, "keys", "create", "shop")
    assert code == 0
    assert secret.startswith("sk_")
    code, listed, _ = _povod(capsys, folder, "keys", "list")
    assert listed.splitlines()[2].split()[:2] == ["shop", "server"]
    assert secret.strip() not in listed


def test_json_for_programs(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """With --json each command prints one object."""
    made = json.loads(_povod(capsys, folder, "keys", "create", "web", "--browser", "--json")[1])
    assert made["key"].startswith("pk_")
    assert json.loads(_povod(capsys, folder, "keys", "revoke", "web", "--json")[1]) == {"name": "web", "revoked": True}
    (listed,) = json.loads(_povod(capsys, folder, "keys", "list", "--json")[1])["keys"]
    assert (listed["name"], listed["scope"]) == ("web", "browser")
    assert listed["revoked_at"] is not None


@pytest.mark.parametrize(("words", "said"), [(("revoke", "nobody"), "no good key named 'nobody'"), (("create", " "), "1 to 64 printable")])
def test_mistakes_end_in_a_sentence(capsys: pytest.CaptureFixture[str], folder: Path, words: tuple[str, str], said: str) -> None:
    """A name that is not there, or is none, ends in exit code 1 and a sentence."""
    code, _, error = _povod(capsys, folder, "keys", *words)
    assert code == 1
    assert said in error
    assert "Traceback" not in error
