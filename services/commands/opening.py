"""Open what settings name: the database, the link secrets; makes the data folder where the embedded engine needs it."""

import os
import secrets
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from services.contracts.errors import InvalidSettings
from services.runtime.database import PATIENCE, Database
from services.runtime.settings import Settings

STATE_FILE = "state.db"
SECRET_FILE = "secret"  # noqa: S105 - a file's name
SHORTEST_SECRET = 32


def open_database(settings: Settings, *, patience: timedelta = PATIENCE) -> Database:
    """Return the database of the settings, not yet connected; SQLite in the data folder where no URL is set.

    `patience` is how long one statement may take. Raises `InvalidSettings` where the URL is of another kind or the data folder
    can't be made.
    """
    url = settings.database.url.get_secret_value()
    if not url:
        return Database(f"sqlite:///{data_folder(settings) / STATE_FILE}")
    scheme = url.partition(":")[0]
    if scheme not in {"sqlite", "postgresql"}:
        raise InvalidSettings(
            f"[database] url (POVOD_DATABASE__URL): {scheme!r} is no kind of database; write sqlite:... or postgresql://..."
        )
    name = f"povod {settings.log.instance}".rstrip()
    return Database(url, pool_size=settings.database.pool_size, patience=patience, name=name)


def data_folder(settings: Settings) -> Path:
    """Return the data folder, made where it was missing; raises `InvalidSettings` where that can't be done."""
    folder = settings.data.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidSettings(f"data (POVOD_DATA, --data): {folder} can't be made: {error.strerror}; name another folder") from error
    return folder


def link_secrets(settings: Settings) -> tuple[str, ...]:
    """Return the secrets of links, the signing one first; made at first start on the embedded engine.

    Raises `InvalidSettings` where none is set on Kafka (processes must share it) or one is too short to be safe.
    """
    named = tuple(part.strip() for part in settings.security.link_secret.get_secret_value().split(",") if part.strip())
    if not named and settings.log.kind == "embedded":
        named = (_kept_secret(data_folder(settings) / SECRET_FILE),)
    if not named or min(map(len, named)) < SHORTEST_SECRET:
        raise InvalidSettings(
            f"[security] link_secret (POVOD_SECURITY__LINK_SECRET): needs {SHORTEST_SECRET} characters or more, the same in every process;"
            " make one with: openssl rand -hex 32"
        )
    return named


def _kept_secret(file: Path) -> str:
    """Return the file's secret; the first to come makes it, whole or not at all (a link can be made only once)."""
    if not file.exists():
        draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
        draft.touch(mode=0o600, exist_ok=False)
        draft.write_text(secrets.token_hex(32), encoding="ascii")
        with suppress(FileExistsError):
            os.link(draft, file)
        draft.unlink()
    return file.read_text(encoding="ascii").strip()
