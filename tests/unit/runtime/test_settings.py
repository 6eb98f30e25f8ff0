"""Settings from a file and from variables: what wins, what is refused, and that secrets stay secret."""

import traceback
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from services.contracts.errors import InvalidSettings
from services.runtime.settings import Settings, load_settings

SECRET = "hunter2-very-secret"


def complaint(tmp_path: Path, toml: str = "", environ: Mapping[str, str] | None = None) -> str:
    """Return what loading these settings complains of."""
    file = tmp_path / "povod.toml"
    file.write_text(toml)
    with pytest.raises(InvalidSettings) as caught:
        load_settings(environ=environ or {}, file=file)
    return str(caught.value)


def test_the_defaults_need_neither_file_nor_variable() -> None:
    """An empty environment gives the embedded engine in `.povod`."""
    settings = load_settings(environ={"PATH": "/bin"}, file=None)
    assert settings == Settings()
    assert (settings.data, settings.log.kind) == (Path(".povod"), "embedded")


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    """The same key in both: the variable's value; other keys of the section stay the file's."""
    file = tmp_path / "povod.toml"
    file.write_text('[ingest]\nport = 1\nhost = "0.0.0.0"\n[dispatch.smtp]\nhost = "mx"\n')
    settings = load_settings(environ={"POVOD_INGEST__PORT": "2", "POVOD_DISPATCH__SMTP__PORT": "587"}, file=file)
    assert (settings.ingest.port, settings.ingest.host) == (2, "0.0.0.0")  # noqa: S104 - a setting, nothing listens
    assert (settings.dispatch.smtp.host, settings.dispatch.smtp.port) == ("mx", 587)


def test_durations_are_written_for_people() -> None:
    """A duration is a number with a unit, or ISO 8601."""
    environ = {"POVOD_LOG__LINGER": "20ms", "POVOD_DISPATCH__RETRY_CAP": "PT2H", "POVOD_RULES__DEAD_LETTER_WINDOW": "10m"}
    settings = load_settings(environ=environ, file=None)
    found = (settings.log.linger, settings.dispatch.retry_cap, settings.rules.dead_letter_window)
    assert found == (timedelta(milliseconds=20), timedelta(hours=2), timedelta(minutes=10))


def test_lists_and_tables_are_json_in_variables() -> None:
    """A variable for a list or a table holds JSON; a table's entry may also be a variable of its own."""
    environ = {"POVOD_DISPATCH__SMS__RETRY_ERRORS": '["3"]', "POVOD_DISPATCH__SMS__HEADERS__AUTHORIZATION": SECRET}
    sms = load_settings(environ=environ, file=None).dispatch.sms
    assert sms.retry_errors == ("3",)
    assert sms.headers["authorization"].get_secret_value() == SECRET


def test_a_wrong_value_names_key_value_and_cure(tmp_path: Path) -> None:
    """The key stands there in both spellings, with the value and what it should be."""
    assert complaint(tmp_path, "[ingest]\nport = 70000\n") == (
        "[ingest] port (POVOD_INGEST__PORT): 70000 can't be used: Input should be less than or equal to 65535"
        " (port to listen on; 0: any free one)"
    )


def test_a_duration_without_unit_is_refused(tmp_path: Path) -> None:
    """A bare number is no duration; the error says how to write one."""
    text = complaint(tmp_path, environ={"POVOD_LOG__LINGER": "5"})
    assert text.startswith("[log] linger (POVOD_LOG__LINGER): '5' can't be used: '5' is no duration: write a number and a unit")


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    """Two wrong values give two lines."""
    text = complaint(tmp_path, '[log]\nkind = "rabbit"\n[ingest]\nport = -1\n')
    assert [line.split(" (POVOD")[0] for line in text.splitlines()] == ["[log] kind", "[ingest] port"]


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ("[ingset]\nport = 1\n", "ingset (POVOD_INGSET): there is no such setting; did you mean 'ingest'?"),
        ("[ingest]\nprt = 1\n", "[ingest] prt (POVOD_INGEST__PRT): there is no such setting; did you mean 'port'?"),
        ("[database]\nzzz = 1\n", "[database] zzz (POVOD_DATABASE__ZZZ): there is no such setting; there are: url, pool_size"),
        ("[dispatch.smpt]\nhost = 1\n", "[dispatch] smpt (POVOD_DISPATCH__SMPT): there is no such setting; did you mean 'smtp'?"),
    ],
)
def test_an_unknown_key_is_an_error_with_a_suggestion(tmp_path: Path, toml: str, expected: str) -> None:
    """A misspelt key never passes silently."""
    assert complaint(tmp_path, toml) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("POVOD_LGO__KIND", "did you mean POVOD_LOG__KIND?"),
        ("POVOD_DATABASE__ULR", "did you mean POVOD_DATABASE__URL?"),
        ("POVOD_DATABASE_URL", "did you mean POVOD_DATABASE__URL?"),
        ("POVOD_DATA__X", "nothing stands below it"),
        ("POVOD_INGEST__PORT__X", "did you mean POVOD_INGEST__PORT?"),
    ],
)
def test_an_unknown_variable_is_an_error_with_a_suggestion(tmp_path: Path, name: str, expected: str) -> None:
    """A misspelt variable never passes silently."""
    assert complaint(tmp_path, environ={name: SECRET}) == f"{name}: there is no such setting; {expected}"


def test_variables_of_the_test_suite_are_no_settings() -> None:
    """`POVOD_TEST_*` is left alone."""
    assert load_settings(environ={"POVOD_TEST_KAFKA": "x"}, file=None) == Settings()


def test_variables_of_whoever_posts_are_no_settings() -> None:
    """A terminal in which key and address are exported, as the README has it, runs every command."""
    environ = {"POVOD_KEY": "sk_1", "POVOD_ADMIN_KEY": "ak_1", "POVOD_URL": "http://127.0.0.1:8080"}
    assert load_settings(environ=environ, file=None) == Settings()


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    """What can't be read or parsed is an error with the file's name and the place."""
    assert "povod.toml: this is no TOML" in complaint(tmp_path, "[log\n")
    assert "line 1" in complaint(tmp_path, "[log\n")
    with pytest.raises(InvalidSettings, match=r"nothing.toml: can't be read: No such file"):
        load_settings(environ={}, file=tmp_path / "nothing.toml")


@pytest.mark.parametrize(
    ("toml", "environ"),
    [
        (f'[database]\nurl = ["{SECRET}"]\n', {}),
        (f'database = "postgresql://povod:{SECRET}@host/db"\n', {}),
        (f'[database]\npasword = "{SECRET}"\n', {}),
        (f'[dispatch]\nsms = "{SECRET}"\n', {}),
        (f"[dispatch.sms.headers]\nauthorization = ['{SECRET}']\n", {}),
        (f"[ingest.hooks.gate]\nscheme = 'meta'\nsecret = ['{SECRET}']\n", {}),
        (f"[ingest.hooks]\ngate = '{SECRET}'\n", {}),
        (f'[log]\nkind = "kafka://me:{SECRET}@host"\n', {}),
        (f'[log]\nlinger = "kafka://me:{SECRET}@host"\n', {}),
        ("", {"POVOD_SECURITY": SECRET}),
        ("", {"POVOD_DISPATCH__SMS__HEADERS": SECRET}),
        ("", {"POVOD_DATABASE": f'{{"url": ["{SECRET}"]}}'}),
        ("", {"POVOD_SECURITY__LINK_SECRT": SECRET}),
    ],
)
def test_no_complaint_shows_a_secret(tmp_path: Path, toml: str, environ: dict[str, str]) -> None:
    """Neither the message, nor the whole traceback with what caused it, holds a secret's value."""
    file = tmp_path / "povod.toml"
    file.write_text(toml)
    with pytest.raises(InvalidSettings) as caught:
        load_settings(environ=environ, file=file)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_no_representation_shows_a_secret() -> None:
    """Printing, formatting and dumping the tree hides every secret."""
    environ = {
        "POVOD_DATABASE__URL": f"postgresql://povod:{SECRET}@host/db",
        "POVOD_SECURITY__LINK_SECRET": SECRET,
        "POVOD_DISPATCH__SMTP__PASSWORD": SECRET,
        "POVOD_DISPATCH__SMS__HEADERS": f'{{"x": "{SECRET}"}}',
        "POVOD_DISPATCH__TELEGRAM__TOKEN": SECRET,
    }
    settings = load_settings(environ=environ, file=None)
    assert settings.database.url.get_secret_value() == f"postgresql://povod:{SECRET}@host/db"
    shown = [repr(settings), str(settings), f"{settings!s}", str(settings.model_dump()), settings.model_dump_json()]
    assert not [text for text in shown if SECRET in text]


def test_settings_never_change_after_start() -> None:
    """Assigning to a setting is an error."""
    with pytest.raises(ValidationError):
        Settings().log.kind = "kafka"  # type: ignore[misc]


def fields_without_description(section: type[BaseModel]) -> list[str]:
    """Return the fields that say nothing of themselves, in this section and below."""
    found = []
    for name, field in section.model_fields.items():
        if not field.description:
            found.append(f"{section.__name__}.{name}")
        below: Any = field.annotation
        if isinstance(below, type) and issubclass(below, BaseModel):
            found += fields_without_description(below)
    return found


def test_every_setting_says_what_it_is() -> None:
    """Each field of the tree has a description."""
    assert fields_without_description(Settings) == []


def test_proxies_are_networks(tmp_path: Path) -> None:
    """Proxies are written as networks or single addresses; anything else is refused with the cure."""
    settings = load_settings(environ={"POVOD_INGEST__TRUSTED_PROXIES": '["10.1.2.3/8", "::1"]'}, file=None)
    assert settings.ingest.trusted_proxies == ("10.0.0.0/8", "::1/128")
    assert "'balancer' is no network; write one as 10.0.0.0/8" in complaint(tmp_path, '[ingest]\ntrusted_proxies = ["balancer"]\n')
