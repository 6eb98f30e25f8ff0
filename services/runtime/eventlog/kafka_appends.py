"""The calls of `append` that are under way."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from services.contracts.errors import LogUnavailable
from services.runtime.eventlog.port import OutgoingRecord


class Append:
    """One call of `append`: done when all its parts are. `weight` is what it holds of the backlog until then."""

    __slots__ = ("begun_at", "done", "left", "weight")

    def __init__(self, parts: int, done: asyncio.Future[None], begun_at: float, weight: int) -> None:
        self.left = parts
        self.done = done
        self.begun_at = begun_at
        self.weight = weight

    def part_stored(self) -> None:
        """Note that one part is acknowledged."""
        self.left -= 1
        if self.left == 0 and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: LogUnavailable) -> None:
        """Tell whoever waits, unless it is done."""
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # nobody may be waiting any more


class Share(NamedTuple):
    """What one append has for one partition."""

    append: Append
    records: Sequence[OutgoingRecord]
