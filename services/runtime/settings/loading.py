"""Read the settings: `povod.toml` first, then `POVOD_*` variables over it; every mistake found is named with its cure."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource

from services.contracts.errors import InvalidSettings
from services.runtime.settings.complaints import complaint_of, unknown_key, unknown_variable
from services.runtime.settings.tree import Settings

PREFIX = "POVOD_"
TEST_PREFIX = "POVOD_TEST_"
"""Variables that the test suite reads; not settings."""
POSTERS = frozenset({"POVOD_KEY", "POVOD_ADMIN_KEY", "POVOD_URL"})
"""Whom to post to and with which key: for `povod import --url`, the recipes and the documents' curls. Whoever has exported them
calls commands from the same terminal, so they are not taken for misspelt settings."""


def load_settings(*, environ: Mapping[str, str], file: Path | None) -> Settings:
    """Return the settings of `file` (None: no file) with the `POVOD_*` variables of `environ` over them.

    Raises `InvalidSettings` naming every wrong, unknown or unreadable setting, with its cure.
    """
    table = {} if file is None else _read_file(file)
    if unknown := [*_unknown_keys(table), *_unknown_variables(environ)]:
        raise InvalidSettings("\n".join(unknown))
    checked = _validate(_merge(table, _Environment(environ)()))
    if isinstance(checked, Settings):
        return checked
    raise InvalidSettings("\n".join(checked))


def _validate(values: dict[str, Any]) -> Settings | list[str]:
    # The error is not chained: pydantic's holds the values, secrets among them.
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        return [complaint_of(mistake) for mistake in error.errors(include_url=False)]


def _read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InvalidSettings(f"{file}: this is no TOML: {error}; see https://toml.io") from error
    except UnicodeDecodeError:
        raise InvalidSettings(f"{file}: this is no UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise InvalidSettings(f"{file}: can't be read: {error.strerror}; name another with --config") from error


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _unknown_keys(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> list[str]:
    found = []
    for key, value in table.items():
        here = (*path, key)
        if complaint := unknown_key(here):
            found.append(complaint)
        elif isinstance(value, dict):
            found += _unknown_keys(value, here)
    return found


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    ours = sorted(name for name in environ if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX) and name not in POSTERS)
    return [complaint for name in ours if (complaint := unknown_variable(name, PREFIX))]


class _Shape(Settings, BaseSettings):  # type: ignore[misc] # its configuration is given to the source below
    """The settings as pydantic-settings wants to see them; never instantiated."""


class _Environment(EnvSettingsSource):
    """Variables from a mapping that was handed in, instead of the process's own."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(_Shape, case_sensitive=False, env_prefix=PREFIX, env_nested_delimiter="__")

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._environ.items() if name.startswith(PREFIX)}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        # What is no JSON stays as it is: validation names its key, a parser's error would not.
        try:
            return super().decode_complex_value(field_name, field, value)
        except json.JSONDecodeError:
            return value
