"""How a process treats its memory."""

import subprocess
import sys

SPARE = "from services.runtime.memory import spare_memory_work; spare_memory_work();"


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_cycles_are_looked_for_more_rarely() -> None:
    """The youngest objects are looked at after many more allocations than by default."""
    shown = "import gc; print(gc.get_threshold()[0])"
    assert int(_run(f"{SPARE} {shown}")) > 10 * int(_run(shown))


def test_cycles_are_still_found() -> None:
    """Garbage with cycles does not stay for ever."""
    cycles = "import weakref\nclass Thing: pass\nfirst = Thing()\nfirst.itself = first\nseen = weakref.ref(first)\ndel first\n"
    garbage = "kept = [[] for _ in range(200_000)]\nprint(seen() is None)"
    assert _run(f"{SPARE}\n{cycles}{garbage}") == "True\n"
