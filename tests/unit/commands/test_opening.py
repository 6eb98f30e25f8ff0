"""Opening what settings name."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.commands.opening import data_folder, link_secrets, open_database
from services.contracts.errors import InvalidSettings
from services.runtime.settings import Settings

LONG = "x" * 32


async def test_without_a_url_the_state_lies_in_the_data_folder(tmp_path: Path) -> None:
    """An empty URL gives SQLite in the data folder, which is made."""
    database = open_database(Settings(data=tmp_path / "deep" / "data"))
    assert database.dialect == "sqlite"
    assert await database.is_healthy()
    await database.close()
    assert (tmp_path / "deep" / "data" / "state.db").exists()


def test_an_unknown_kind_of_database_is_refused() -> None:
    """The error names the key and the cure, and not the password."""
    settings = Settings.model_validate({"database": {"url": "mysql://me:hunter2@host/db"}})
    with pytest.raises(InvalidSettings, match=r"'mysql' is no kind of database; write sqlite:... or postgresql://...") as caught:
        open_database(settings)
    assert "hunter2" not in str(caught.value)


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    """A file in the way is an error with the folder's name."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidSettings, match=r"file/data can't be made: Not a directory"):
        data_folder(Settings(data=tmp_path / "file" / "data"))


def test_the_embedded_engine_makes_its_secret_once(tmp_path: Path) -> None:
    """Eight starts at once agree on one secret, readable by its owner only, with nothing left beside it."""
    settings = Settings(data=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(link_secrets, [settings] * 8))
    assert len(found) == 1
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_named_secrets_come_first_to_last() -> None:
    """The first signs, the others are still read."""
    settings = Settings.model_validate({"security": {"link_secret": f"{LONG}1, {LONG}2"}})
    assert link_secrets(settings) == (f"{LONG}1", f"{LONG}2")


@pytest.mark.parametrize(
    "values", [{"log": {"kind": "kafka"}}, {"security": {"link_secret": "short"}}, {"security": {"link_secret": f"{LONG},short"}}]
)
def test_a_missing_or_short_secret_is_refused(values: dict[str, object]) -> None:
    """Processes on Kafka must share one secret, and none may be short; the error shows no secret."""
    with pytest.raises(InvalidSettings, match="link_secret") as caught:
        link_secrets(Settings.model_validate(values))
    assert "short;" not in str(caught.value)
    assert LONG not in str(caught.value)
