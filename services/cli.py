"""The command shell: `povod COMMAND`. A command's module is imported only when it is called, so each service needs only its own extra."""

import errno
import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from services import __version__
from services.commands.invocation import Invocation
from services.contracts.errors import PovodError


class Entry(NamedTuple):
    """A command: where it lies (`module:attribute`), which extra it needs, what it does in a few words."""

    target: str
    extra: str
    does: str


COMMANDS: Mapping[str, Entry] = {
    "serve": Entry("services.commands.serve:serve", "all", "everything in one process, on the embedded log and SQLite"),
    "ingest": Entry("services.commands.ingest:ingest", "ingest", "the HTTP door alone"),
    "rules": Entry("services.commands.rules:rules", "rules", "the rules engine alone; apply makes a rule set active"),
    "dispatch": Entry("services.commands.dispatch:dispatch", "dispatch", "delivery alone"),
    "demo": Entry("services.commands.demo:demo", "all", "replay real shop events, and see what is sent and why"),
    "check": Entry("services.commands.check:check", "rules", "mistakes in a rule set, with file, line, column and cure"),
    "why": Entry("services.commands.why:why", "rules", "each decision about a customer, with its reason"),
    "import": Entry("services.commands.import_events:import_events", "ingest", "events from files: CSV through a map, or JSON lines"),
    "simulate": Entry("services.commands.simulate:simulate", "rules", "what the rules would have sent"),
    "topics": Entry("services.commands.topics:topics", "kafka", "create the topics, or compare them"),
    "db": Entry("services.commands.db:db", "postgres", "bring the database to the newest migration"),
    "keys": Entry("services.commands.keys:keys", "ingest", "write keys: create, list, rotate, revoke"),
    "tail": Entry("services.commands.tail:tail", "all", "a live view of the events or the messages"),
    "status": Entry("services.commands.status:status", "all", "lag and health in one screen"),
    "pause": Entry("services.commands.pause:pause", "dispatch", "hold a channel, provider, journey, template or all; nothing is dropped"),
    "resume": Entry("services.commands.pause:resume", "dispatch", "let go of what was held"),
}
_EXTRA_OF = {"aiokafka": "kafka", "cramjam": "kafka", "asyncpg": "postgres", "jinja2": "dispatch", "babel": "dispatch", "httpx": "dispatch"}
"""Libraries that a setting asks for, whatever the command."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
"""Failures of the place where output goes."""


class LazyGroup(click.Group):
    """A group whose commands are imported when called, and whose failures end in one clear sentence."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry] = COMMANDS, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the list."""
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the command; None where there is no such name."""
        entry = self._entries.get(cmd_name)
        return None if entry is None else _with_places(_load(cmd_name, entry))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """List the commands with their words, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.does) for name, entry in self._entries.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; what Povod raises on purpose ends in exit code 1 and its message, without a traceback."""
        try:
            return super().invoke(ctx)
        except PovodError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise click.ClickException(f"can't write: {error.strerror or error}") from error
        except ModuleNotFoundError as error:
            extra = _EXTRA_OF.get(error.name or "")
            if extra is None:
                raise
            raise click.ClickException(_install(f"{error.name} is not installed", extra)) from error


def _load(name: str, entry: Entry) -> click.Command:
    module, _, attribute = entry.target.partition(":")
    try:
        command = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.split(".")[0] == "services":
            raise click.ClickException(f"`povod {name}` is not part of this installation ({missing} is missing)") from error
        raise click.ClickException(_install(f"`povod {name}` needs {missing}", _EXTRA_OF.get(missing, entry.extra))) from error
    if not isinstance(command, click.Command):
        raise TypeError(f"{entry.target} is no command")
    return command


def _install(what: str, extra: str) -> str:
    return f'{what}: install povod[{extra}] (pip install "povod[{extra}]")'


def _set_place(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    invocation = ctx.find_object(Invocation)
    if value is not None and invocation is not None:
        setattr(invocation, str(parameter.name), value)


def _places() -> list[click.Option]:
    folder = click.Path(file_okay=False, path_type=Path)
    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    return [
        click.Option(
            ["--data"], type=folder, metavar="DIR", expose_value=False, callback=_set_place, help="Folder of the embedded engine."
        ),
        click.Option(["--config"], type=file, metavar="FILE", expose_value=False, callback=_set_place, help="Settings (povod.toml here)."),
    ]


def _with_places(command: click.Command) -> click.Command:
    """Let `--data` and `--config` stand behind the command's name too, unless it has options of that name itself."""
    taken = {option for parameter in command.params for option in parameter.opts}
    command.params += [option for option in _places() if not taken & set(option.opts)]
    if isinstance(command, click.Group):
        for below in command.commands.values():
            _with_places(below)
    return command


@click.command("povod", cls=LazyGroup, params=_places(), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="povod")
def povod() -> None:
    """Event-driven trigger messaging: the right message, for a reason, exactly once."""


def _open_standard_streams() -> None:
    """Open what the caller has closed of 0, 1 and 2 to nowhere: a socket or a database's file would else get its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one


def main(arguments: Sequence[str] | None = None, *, environ: Mapping[str, str] | None = None) -> None:
    """Run `povod` as the shell does, and exit: 0, 1 for what Povod says is wrong, 2 for a wrong call."""
    _open_standard_streams()
    povod(
        args=None if arguments is None else list(arguments), obj=Invocation(os.environ if environ is None else environ), prog_name="povod"
    )


if __name__ == "__main__":
    main()
