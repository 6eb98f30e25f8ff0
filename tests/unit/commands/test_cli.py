"""The command shell: lazy commands, clear ends, places."""

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from services.cli import COMMANDS, Entry, LazyGroup, povod
from services.commands.invocation import Invocation
from services.contracts.errors import DatabaseUnavailable
from services.runtime.settings import load_settings


@click.command()
@click.pass_obj
def where(invocation: Invocation) -> None:
    """Print the data folder."""
    click.echo(invocation.settings.data)


@click.command()
def failing() -> None:
    """Raise one of ours."""
    raise DatabaseUnavailable("the database gave up: no route")


@click.command()
def full() -> None:
    """Write to a full disk."""
    raise OSError(errno.ENOSPC, "No space left on device")


@click.group(invoke_without_command=True)
@click.pass_context
def both(ctx: click.Context) -> None:
    """Run as a service, or hold commands."""
    if ctx.invoked_subcommand is None:
        click.echo("service")


both.add_command(where)
HERE = "tests.unit.commands.test_cli"
ENTRIES = {
    "where": Entry(f"{HERE}:where", "all", "prints the folder"),
    "failing": Entry(f"{HERE}:failing", "all", "fails"),
    "full": Entry(f"{HERE}:full", "all", "meets a full disk"),
    "both": Entry(f"{HERE}:both", "all", "does both"),
    "gone": Entry("povod_library_that_is_not_there:gone", "ingest", "misses a library"),
    "later": Entry("services.commands.not_there:later", "ingest", "misses a module"),
}


def call(*arguments: str, environ: dict[str, str] | None = None, entries: Any = None) -> Result:
    """Call a shell with the test's own commands."""
    group = LazyGroup("povod", entries=entries or ENTRIES, params=list(povod.params))
    return CliRunner().invoke(group, list(arguments), obj=Invocation(environ or {}))


def test_help_lists_every_command_and_imports_none() -> None:
    """`povod --help` shows the words of the list, though half of the modules may be missing."""
    result = CliRunner().invoke(povod, ["--help"], obj=Invocation({}))
    assert result.exit_code == 0
    assert not [name for name, entry in COMMANDS.items() if name not in result.output or entry.does.split()[0] not in result.output]


def test_a_command_imports_no_other_service() -> None:
    """Listing and `db` load nothing of ingest, rules or dispatch."""
    code = (
        "import sys, services.cli\n"
        "try: services.cli.main(['db', '--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in sys.modules if m.startswith(('services.ingest', 'services.rules', 'services.dispatch', 'fastapi', 'aiokafka'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert done.stdout.splitlines()[-1] == "[]"


def test_our_errors_end_in_one_sentence() -> None:
    """What Povod raises on purpose is exit code 1 and its message, no traceback."""
    result = call("failing")
    assert (result.exit_code, result.output) == (1, "Error: the database gave up: no route\n")


def test_a_full_disk_is_one_sentence() -> None:
    """What can't be written is said without a traceback."""
    result = call("full")
    assert (result.exit_code, result.output) == (1, "Error: can't write: No space left on device\n")


def test_closed_streams_harm_nobody(tmp_path: Path) -> None:
    """Whoever starts us without standard streams (a job, a daemon) gets no socket or file in their place, and no crash."""
    shell = f"exec {sys.executable} -m services.cli db upgrade --data {tmp_path} <&- >&- 2>&-"
    assert subprocess.run(["/bin/sh", "-c", shell], check=False).returncode == 0
    assert (tmp_path / "state.db").exists()


def test_a_missing_library_names_the_extra() -> None:
    """Without the extra the message says what to install."""
    result = call("gone")
    expected = 'Error: `povod gone` needs povod_library_that_is_not_there: install povod[ingest] (pip install "povod[ingest]")\n'
    assert (result.exit_code, result.output) == (1, expected)


def test_a_missing_module_of_ours_is_named() -> None:
    """A command that is not there is not blamed on an extra."""
    result = call("later")
    assert (result.exit_code, "is not part of this installation" in result.output) == (1, True)


def test_an_unknown_command_is_a_wrong_call() -> None:
    """Usage errors are exit code 2."""
    assert call("nothing").exit_code == 2


@pytest.mark.parametrize(
    "arguments", [("--data", "d", "where"), ("where", "--data", "d"), ("both", "where", "--data", "d"), ("both", "--data", "d", "where")]
)
def test_the_data_folder_may_stand_anywhere(arguments: tuple[str, ...]) -> None:
    """`--data` works before and behind the command's name, and wins over the variable."""
    assert call(*arguments, environ={"POVOD_DATA": "other"}).output == "d\n"


def test_a_group_may_be_a_service_too() -> None:
    """`povod rules` runs, `povod rules apply` is a command."""
    assert call("both").output == "service\n"


def test_wrong_settings_are_one_sentence() -> None:
    """A misspelt variable ends the command with its cure."""
    result = call("where", environ={"POVOD_DTA": "x"})
    assert (result.exit_code, "did you mean POVOD_DATA?" in result.output) == (1, True)


def test_the_config_file_is_read(tmp_path: Path) -> None:
    """`--config` names the file."""
    file = tmp_path / "other.toml"
    file.write_text('data = "from-file"\n')
    assert call("--config", str(file), "where").output == "from-file\n"
    assert load_settings(environ={}, file=file).data == Path("from-file")
