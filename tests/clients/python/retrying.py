"""Some clients send at once and leave the next try to their caller: this is the caller."""

import time
from collections.abc import Callable

_TRIES = 240
_PAUSE_SECONDS = 0.25


class TryAgainError(Exception):
    """The server did not take it now."""


def until_taken(send: Callable[[], None]) -> None:
    """Send until the server takes it; raises the last `TryAgainError` when it never does."""
    for _ in range(_TRIES - 1):
        try:
            return send()
        except TryAgainError:
            time.sleep(_PAUSE_SECONDS)
    return send()
