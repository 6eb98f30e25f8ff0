"""Measuring in turns: whatever disturbs the machine disturbs baseline and subject alike."""

from collections.abc import Callable, Mapping


def in_turns(measurements: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Take every measurement once a round, in order; return the series by name."""
    series: dict[str, list[float]] = {name: [] for name in measurements}
    for _ in range(rounds):
        for name, measure in measurements.items():
            series[name].append(measure())
    return series
