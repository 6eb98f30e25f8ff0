"""`povod serve`: everything in one process, on the embedded log and SQLite (or on what the settings name)."""

from pathlib import Path

import click

from services.commands.folders import FOLDER, folders_of
from services.commands.invocation import Invocation
from services.commands.processes import run_serve
from services.runtime.settings import IngestSettings, Settings


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the HTTP door.  [default: the settings']")
@click.option("--rules", type=FOLDER, help="Rule set to serve and to watch.")
@click.pass_obj
def serve(invocation: Invocation, port: int | None, rules: Path | None) -> None:
    """Run ingest, rules and dispatch together; a changed rule set or template is taken up while it runs."""
    invocation.run(run_serve(with_options(invocation.settings, port, rules)))


def with_options(settings: Settings, port: int | None, rules: Path | None) -> Settings:
    """Return the settings as the command line has them: with another port, links lead there too, unless they say where they lead."""
    ingest = settings.ingest if port is None else _at(settings.ingest, port)
    directory, templates = folders_of(settings, rules, None)
    changed = settings.rules.model_copy(update={"directory": directory, "templates": templates})
    return settings.model_copy(update={"ingest": ingest, "rules": changed})


def _at(ingest: IngestSettings, port: int) -> IngestSettings:
    follows = port != 0 and "public_url" not in ingest.model_fields_set
    return ingest.model_copy(update={"port": port, **({"public_url": f"http://127.0.0.1:{port}"} if follows else {})})
