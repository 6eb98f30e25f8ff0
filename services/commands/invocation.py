"""What every command is given (`ctx.obj`): the settings, read when first asked for, and how a command's coroutine is run.

@click.command()
@click.pass_obj
def why(invocation: Invocation) -> None:
    invocation.run(_why(invocation.settings))
"""

import asyncio
import importlib.util
from collections.abc import Callable, Coroutine, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from services.runtime.settings import Settings, load_settings

Result = TypeVar("Result")
DEFAULT_FILE = Path("povod.toml")


class Invocation:
    """One call of `povod`: where its settings come from. `data` and `config` are what the options said (None: not given)."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """`environ` is the process's environment, read here and nowhere else."""
        self.environ = environ
        self.data: Path | None = None
        self.config: Path | None = None

    @cached_property
    def settings(self) -> Settings:
        """The settings of `--config` (or `povod.toml` here), the variables and `--data`, in rising order; raises `InvalidSettings`."""
        file = self.config or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
        settings = load_settings(environ=self.environ, file=file)
        return settings if self.data is None else settings.model_copy(update={"data": self.data})

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a command's coroutine to its end, on uvloop where it is installed."""
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(coroutine)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop
