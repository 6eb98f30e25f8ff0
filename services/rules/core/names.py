"""Which names an expression may use, and the error that says where one is wrong."""

import difflib
from collections.abc import Iterable

import msgspec

from services.contracts.errors import InvalidRuleset
from services.rules.core.scope import CUSTOMER_FIELDS, EVENT_FIELDS


class Names(msgspec.Struct, frozen=True):
    """The names that an expression may use below each root; `None` where any name is allowed (an event type without a schema).

    The fixed fields (`event.type`, `customer.stage`, ...) need not be listed.
    """

    event: frozenset[str] | None = None
    customer: frozenset[str] | None = None
    trigger: frozenset[str] | None = None

    def below(self, root: str) -> frozenset[str] | None:
        """Return the allowed names below `root`, `None` for any."""
        known: frozenset[str] | None = getattr(self, root)
        if known is None or root == "trigger":
            return known
        return known | (EVENT_FIELDS if root == "event" else CUSTOMER_FIELDS)


ANY_NAMES = Names()


class ExpressionError(InvalidRuleset):
    """An expression that can't be used. `line` and `column` count from 1; `suggestion` is the cure, where one is known."""

    def __init__(self, message: str, *, line: int, column: int, suggestion: str | None = None) -> None:
        super().__init__(message, code="invalid_expression")
        self.line = line
        self.column = column
        self.suggestion = suggestion


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return a suggestion that names the nearest known word, `None` where nothing is near."""
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else None
