"""Load over HTTP: wrk where it is installed (Debian: `apt-get install wrk`), else our own client in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from bench.figures import CannotMeasureError


class Load(NamedTuple):
    """What to post where: the bodies lie in a folder as `0.json`, `1.json`, ..."""

    url: str
    key: str
    folder: Path
    bodies: int
    connections: int


class Posted(NamedTuple):
    """What a client saw: answered requests, how long it took, and latencies. Every answer was 2xx."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Return requests a second."""
        return self.requests / self.seconds


def write_bodies(folder: Path, bodies: Iterable[bytes]) -> int:
    """Write bodies into a folder for the client; return how many."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for count, body in enumerate(bodies, start=1):
        (folder / f"{count - 1}.json").write_bytes(body)
    return count


def post(load: Load, seconds: float, rate: float = 0) -> Posted:
    """Post for that long, as fast as the answers come or at a fixed rate; raises `CannotMeasureError` on any answer that is no success."""
    command = _wrk(load, seconds) if shutil.which("wrk") and not rate else _own(load, seconds, rate)
    path = "/" + load.url.split("/", 3)[3]
    environment = {"BENCH_BODIES": str(load.folder), "BENCH_COUNT": str(load.bodies), "BENCH_KEY": load.key, "BENCH_PATH": path}
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=seconds + 60)
    if done.returncode:
        raise CannotMeasureError(f"the client failed: {done.stderr.strip() or done.stdout.strip()}")
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    if seen["refused"] or seen["broken"] or not seen["requests"]:
        raise CannotMeasureError(f"not every answer was a success: {seen}")
    return Posted(seen["requests"], seen["seconds"], seen["p50_ms"], seen["p99_ms"])


def _wrk(load: Load, seconds: float) -> list[str]:
    script = str(Path(__file__).with_name("post.lua"))
    return ["wrk", "-t1", f"-c{load.connections}", f"-d{seconds:g}s", "--timeout", "10s", "-s", script, load.url]


def _own(load: Load, seconds: float, rate: float) -> list[str]:
    return [sys.executable, "-m", "bench.client", load.url, str(load.connections), str(seconds), str(rate)]
