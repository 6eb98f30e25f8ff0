"""`povod dispatch`: delivery alone."""

import click

from services.commands.invocation import Invocation
from services.commands.processes import run_dispatch


@click.command()
@click.pass_obj
def dispatch(invocation: Invocation) -> None:
    """Deliver what was decided and report back what became of it, until SIGTERM."""
    invocation.run(run_dispatch(invocation.settings))
