"""A percentile out of a Prometheus histogram."""

import re
import urllib.request

_BUCKET = re.compile(r"^(?P<name>\w+)_bucket\{(?:.*,)?le=\"(?P<le>[^\"]+)\".*\} (?P<count>[0-9.e+]+)$", re.MULTILINE)


def fetch(port: int) -> str:
    """Return the exposition text of a process's `/metrics`."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def percentile(exposition: str, name: str, share: float) -> float:
    """Return the value below which that share of the observations lies, linear within its bucket; 0 where there are none."""
    buckets = sorted((float(found["le"]), float(found["count"])) for found in _BUCKET.finditer(exposition) if found["name"] == name)
    wanted = share * buckets[-1][1] if buckets else 0
    below_le, below_count = 0.0, 0.0
    for le, seen in buckets:
        if seen >= wanted > below_count:
            return below_le if le == float("inf") else below_le + (le - below_le) * (wanted - below_count) / (seen - below_count)
        below_le, below_count = le, seen
    return 0.0
