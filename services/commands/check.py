"""`povod check`: is this rule set right? Every mistake with file, line, column and cure."""

import json
from pathlib import Path

import click

from services.commands.folders import FOLDER, folders_of
from services.commands.invocation import Invocation
from services.rules.loader import Mistake, check_directory


@click.command()
@click.argument("directory", required=False, type=FOLDER)
@click.option("--templates", type=FOLDER, help="The templates' folder.  [default: the settings', or beside DIRECTORY]")
@click.option("--json", "as_json", is_flag=True, help="Print the mistakes as JSON.")
@click.pass_context
def check(context: click.Context, directory: Path | None, templates: Path | None, *, as_json: bool) -> None:
    """Check the rule set in DIRECTORY; exit code 1 where it can't be used."""
    from services.dispatch.rendering import check_template

    invocation: Invocation = context.obj
    folder, beside = folders_of(invocation.settings, directory, templates)
    mistakes = check_directory(folder, beside, check_template)
    errors = [mistake for mistake in mistakes if mistake.severity == "error"]
    if as_json:
        click.echo(json.dumps({"errors": len(errors), "mistakes": [_plain(mistake) for mistake in mistakes]}, ensure_ascii=False))
    else:
        for mistake in mistakes:
            click.echo(str(mistake) if mistake.severity == "error" else f"{mistake} (warning)")
        click.echo(f"{folder}: {_verdict(errors)}")
    if errors:
        context.exit(1)


def _verdict(errors: list[Mistake]) -> str:
    if not errors:
        return "no mistakes"
    return "1 mistake" if len(errors) == 1 else f"{len(errors)} mistakes"


def _plain(mistake: Mistake) -> dict[str, str | int]:
    place = mistake.place
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "problem": mistake.problem,
        "cure": mistake.cure,
        "severity": mistake.severity,
    }
