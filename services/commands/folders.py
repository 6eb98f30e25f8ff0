"""Files and folders as options of commands, and where a command finds rules and templates: what was named, else what the settings say."""

from pathlib import Path

import click

from services.runtime.settings import Settings

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
map_option = click.option("--map", "map_file", type=FILE, help="How the columns of CSV files become events.")


def folders_of(settings: Settings, directory: Path | None, templates: Path | None) -> tuple[Path, Path]:
    """Return the folders of rules and templates: what was named, else the templates beside a named directory, else the settings'."""
    if directory is None:
        return settings.rules.directory, templates or settings.rules.templates
    beside = directory.absolute().parent / "templates"
    return directory, templates or (beside if beside.is_dir() else settings.rules.templates)
