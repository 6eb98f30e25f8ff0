"""`povod ingest`: the HTTP door alone."""

import click

from services.commands.invocation import Invocation
from services.commands.processes import run_ingest


@click.command()
@click.pass_obj
def ingest(invocation: Invocation) -> None:
    """Take events over HTTP and publish them to the event log, until SIGTERM."""
    invocation.run(run_ingest(invocation.settings))
