"""What is wrong with a rule set: every mistake with its file, line, column and cure, all of them at once."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal

import msgspec

from services.contracts.errors import InvalidRuleset


class Place(msgspec.Struct, frozen=True, order=True):
    """Where something stands: lines and columns count from 1."""

    file: str
    line: int = 1
    column: int = 1


class Mistake(msgspec.Struct, frozen=True):
    """One finding. A `warning` does not stop the rule set from being used."""

    place: Place
    problem: str
    cure: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.place.file}:{self.place.line}:{self.place.column}: {self.problem}; {self.cure}"


class Findings:
    """Collects mistakes while a rule set is read, so that a marketer sees all of them in one go."""

    def __init__(self) -> None:
        self._found: list[Mistake] = []

    def error(self, place: Place, problem: str, cure: str) -> None:
        """Note something that must be corrected before the rule set can be used."""
        self._found.append(Mistake(place, problem, cure))

    def warn(self, place: Place, problem: str, cure: str) -> None:
        """Note something that looks wrong but may be meant."""
        self._found.append(Mistake(place, problem, cure, "warning"))

    @property
    def errors(self) -> tuple[Mistake, ...]:
        """Return the errors in the order of the files and lines."""
        return self._sorted("error")

    @property
    def warnings(self) -> tuple[Mistake, ...]:
        """Return the warnings in the order of the files and lines."""
        return self._sorted("warning")

    def raise_errors(self) -> None:
        """Raise one `InvalidRuleset` that lists every error, a line each; harmless where there are none."""
        if self.errors:
            raise InvalidRuleset("\n".join(map(str, self.errors)), code="invalid_ruleset")

    def _sorted(self, severity: str) -> tuple[Mistake, ...]:
        chosen = (mistake for mistake in dict.fromkeys(self._found) if mistake.severity == severity)
        return tuple(sorted(chosen, key=lambda mistake: mistake.place))


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant, if one is near."""
    return next(iter(get_close_matches(word, list(known), n=1, cutoff=0.7)), None)


def cure_of(word: str, known: Iterable[str], what: str) -> str:
    """Return `did you mean ...?` where a known word is near, else the list of what may stand there."""
    names = sorted(known)
    if near := suggestion(word, names):
        return f"did you mean {near!r}?"
    return f"use one of the {what}: {', '.join(names)}" if names else f"there are no {what} yet"
