"""A figure: what was measured, against which goal, and the line that says so."""

import json
import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

RESULTS = Path(__file__).parent / "results"


class CannotMeasureError(Exception):
    """A figure could not be taken; the message says why. Always a failure of the whole run."""


class Figure(NamedTuple):
    """A ratio against its goal, with the absolute rates behind it (events a second unless the name says otherwise)."""

    name: str
    ratio: float
    goal: float
    rates: Mapping[str, float]

    @property
    def is_reached(self) -> bool:
        """Say whether the goal is reached."""
        return self.ratio >= self.goal

    def __str__(self) -> str:
        rates = " ".join(f"{name}={rate:,.0f}" if rate >= 10 else f"{name}={rate:.3g}" for name, rate in self.rates.items())
        return f"{self.name} ratio={self.ratio:.2f} goal={self.goal:g} {'ok' if self.is_reached else 'short'} {rates}"


class Missing(NamedTuple):
    """A figure that could not be taken."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name} MISSING: {self.why}"


def ratio_of(name: str, goal: float, subject: Sequence[float], baseline: Sequence[float], **rates: float) -> Figure:
    """Return the ratio of the medians of two series of rates."""
    ours, theirs = statistics.median(subject), statistics.median(baseline)
    return Figure(name, ours / theirs, goal, {"subject": ours, "baseline": theirs, **rates})


def save(figures: Sequence[Figure], missing: Sequence[Missing], at: datetime) -> Path:
    """Write everything as JSON to `bench/results/`; return the file."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{at:%Y%m%dT%H%M%SZ}.json"
    document = {
        "at": at.isoformat(),
        "figures": [{**figure._asdict(), "ok": figure.is_reached} for figure in figures],
        "missing": [each._asdict() for each in missing],
    }
    file.write_text(json.dumps(document, indent=2), encoding="utf-8")
    return file
