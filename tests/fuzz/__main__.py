"""`python -m tests.fuzz TARGET [--seconds N]`: fuzz one target; exits with 0 where nothing fell over.

Inputs that make something fall over are written to `crash-*` files in the working folder, as libFuzzer does it. Needs atheris (Linux).
"""

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["services"]):
    from tests.fuzz.targets import TARGETS

EXAMPLES = Path(__file__).resolve().parents[1] / "fixtures" / "doors"
"""What real clients sent: what fuzzing begins with, and where its words are from."""
_WORD = re.compile(rb'"([$A-Za-z_][A-Za-z_ ]{1,30})"')


def main() -> None:
    """Read the arguments and fuzz."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=600)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus, words = prepare(Path(folder))
        limits = (f"-max_total_time={arguments.seconds}", "-timeout=5", "-rss_limit_mb=2048", "-max_len=8192", "-print_final_stats=1")
        atheris.Setup([sys.argv[0], *limits, f"-dict={words}", str(corpus)], TARGETS[arguments.target])
        atheris.Fuzz()


def prepare(folder: Path) -> tuple[Path, Path]:
    """Lay out a corpus, an input a file, and a dictionary; return both."""
    corpus, words = folder / "corpus", folder / "words"
    corpus.mkdir()
    found: set[bytes] = set()
    for example in EXAMPLES.iterdir():
        content = example.read_bytes()
        found.update(_WORD.findall(content))
        for number, body in enumerate(map(_body_of, content.splitlines()) if example.suffix == ".jsonl" else [content]):
            (corpus / f"{example.name}-{number}").write_bytes(body)
    words.write_bytes(b"".join(b'"\\"%b\\":"\n' % word for word in sorted(found)))
    return corpus, words


def _body_of(line: bytes) -> bytes:
    captured = json.loads(line)
    return str(captured["body"]).encode()


if __name__ == "__main__":
    main()
