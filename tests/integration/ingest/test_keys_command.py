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


def test_limits_rotation_and_signatures_by_command(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """A browser key with limits is made, shown, rotated; its identity secret is printed with it and on demand, the same each time."""
    options = [
        "--scope",
        "browser",
        "--rate",
        "20",
        "--origin",
        "https://shop.example",
        "--origin",
        "https://m.shop.example",
        "--require-signature",
    ]
    made = json.loads(_povod(capsys, folder, "keys", "create", "web", *options, "--json")[1])
    again = json.loads(_povod(capsys, folder, "keys", "identity-secret", "web", "--json")[1])
    assert again == {"name": "web", "identity_secret": made["identity_secret"]}
    assert len(made["identity_secret"]) == 64
    rotated = json.loads(_povod(capsys, folder, "keys", "rotate", "web", "--grace", "2d", "--json")[1])
    assert rotated["key"].startswith("pk_")
    assert rotated["key"] != made["key"]
    (listed,) = json.loads(_povod(capsys, folder, "keys", "list", "--json")[1])["keys"]
    assert (listed["rate"], listed["origins"], listed["require_signature"]) == (
        20,
        ["https://m.shop.example", "https://shop.example"],
        True,
    )
    assert (listed["former_until"], listed["last_used_at"]) == (rotated["former_until"], None)
    shown = _povod(capsys, folder, "keys", "list")[1].splitlines()[2]
    assert shown.split()[:5] == ["web", "browser", "20", "https://m.shop.example", "https://shop.example"]
    assert made["identity_secret"] in _povod(capsys, folder, "keys", "identity-secret", "web")[1]


def test_a_person_sees_key_and_identity_secret(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Without --json the key stands in a line of its own, the identity secret below it."""
    key, secret = _povod(capsys, folder, "keys", "create", "web", "--browser", "--require-signature")[1].splitlines()
    assert key.startswith("pk_")
    assert secret.startswith("identity secret, for your server only: ")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("rotate", "nobody"), 1, "no good key named 'nobody'"),
        (("rotate", "shop", "--grace", "soon"), 2, "'soon' is no duration"),
        (("identity-secret", "shop"), 1, "asks for no signatures"),
        (("create", "web", "--origin", "shop.example"), 1, "'shop.example' is no origin"),
        (("create", "web", "--require-signature"), 1, "only a browser key"),
        (("create", "web", "--scope", "owner"), 2, "'owner' is not one of"),
    ],
)
def test_limits_that_are_none_end_in_a_sentence(
    capsys: pytest.CaptureFixture[str], folder: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    """A wrong name, duration, origin or scope ends in a sentence and its exit code."""
    _povod(capsys, folder, "keys", "create", "shop")
    found, _, error = _povod(capsys, folder, "keys", *words)
    assert found == code
    assert said in error


def test_limits_are_changed_by_command(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """`limit` changes what is named and nothing else, and keeps the secret; with signatures it prints the identity secret."""
    _povod(capsys, folder, "keys", "create", "web", "--browser", "--rate", "20", "--origin", "https://shop.example")
    code, said, _ = _povod(capsys, folder, "keys", "limit", "web", "--rate", "50")
    assert (code, said.splitlines()) == (0, ["rate/s: 50", "origins: https://shop.example", "signed: no"])
    changed = json.loads(_povod(capsys, folder, "keys", "limit", "web", "--any-origin", "--require-signature", "--json")[1])
    again = json.loads(_povod(capsys, folder, "keys", "identity-secret", "web", "--json")[1])
    assert changed == {"rate": 50, "origins": [], "require_signature": True, **again}
    json.loads(_povod(capsys, folder, "keys", "limit", "web", "--rate", "0", "--no-require-signature", "--origin", "*", "--json")[1])
    (listed,) = json.loads(_povod(capsys, folder, "keys", "list", "--json")[1])["keys"]
    assert (listed["rate"], listed["origins"], listed["require_signature"]) == (0, ["*"], False)
    assert listed["rotated_at"] is None


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        (("nobody", "--rate", "5"), 1, "no good key named 'nobody'"),
        (("shop", "--require-signature"), 1, "only a browser key can ask for signatures"),
        (("shop", "--origin", "shop.example"), 1, "'shop.example' is no origin"),
        (("shop", "--rate", "1000001"), 1, "a key's rate is 1 to 1000000"),
        (("shop",), 2, "name what is to change"),
        (("shop", "--origin", "*", "--any-origin"), 2, "not both"),
    ],
)
def test_limits_that_can_not_be_meant(
    capsys: pytest.CaptureFixture[str], folder: Path, words: tuple[str, ...], exit_code: int, said: str
) -> None:
    """A change that can't be meant is a sentence, and changes nothing."""
    _povod(capsys, folder, "keys", "create", "shop", "--rate", "7")
    code, _, error = _povod(capsys, folder, "keys", "limit", *words)
    assert (code, said in error) == (exit_code, True), error
    (listed,) = json.loads(_povod(capsys, folder, "keys", "list", "--json")[1])["keys"]
    assert (listed["rate"], listed["origins"], listed["require_signature"]) == (7, [], False)
