"""`python -m bench [--only NAME] [--quick]`: take the figures, print a line each, write `bench/results/*.json`.

Exits with 1 where a figure could not be taken; a figure below its goal is printed as `short`.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from bench import doors, ingest, rules, whole_path
from bench.figures import CannotMeasureError, Figure, Missing, save


def groups(seconds: float, rounds: int) -> dict[str, Callable[[], Iterator[Figure]]]:
    """Return what can be taken, by name; each group prepares servers of its own."""
    return {
        "ingest-batches": lambda: ingest.batches(seconds, rounds),
        "ingest-singles": lambda: ingest.singles(seconds, rounds),
        "ingest-segment": lambda: doors.segment(seconds, rounds),
        "ingest-latency": lambda: doors.latency(seconds, rounds),
        "ingest-idle": doors.idle,
        "ingest-attacked": lambda: doors.under_attack(seconds, rounds),
        "rules": lambda: rules.figures(seconds, rounds),
        "whole-path": lambda: whole_path.figures(rounds),
    }


def take(name: str, group: Callable[[], Iterator[Figure]]) -> list[Figure | Missing]:
    """Take a group's figures and print them as they come."""
    taken: list[Figure | Missing] = []
    try:
        for figure in group():
            taken.append(figure)
            print(figure, flush=True)
    except (CannotMeasureError, OSError, TimeoutError) as error:
        taken.append(Missing(name, f"{type(error).__name__}: {error}"))
        print(taken[-1], flush=True)
    return taken


def main() -> int:
    """Read the arguments, take the figures, keep them."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(groups(0, 0)), help="take this group only; may be repeated")
    parser.add_argument("--seconds", type=float, default=5, help="how long one measurement lasts")
    parser.add_argument("--rounds", type=int, default=5, help="how often baseline and subject take turns")
    arguments = parser.parse_args()
    began = datetime.now(UTC)
    chosen = {name: group for name, group in groups(arguments.seconds, arguments.rounds).items() if name in (arguments.only or [name])}
    results = [result for name, group in chosen.items() for result in take(name, group)]
    figures = [result for result in results if isinstance(result, Figure)]
    missing = [result for result in results if isinstance(result, Missing)]
    print(f"kept in {save(figures, missing, began)}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
