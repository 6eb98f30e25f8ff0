"""`python -m tests.fuzz TARGET [--seconds N]`: fuzz one target; exits with 0 where nothing fell over.

Inputs that make something fall over are written to `crash-*` files in the working folder, as libFuzzer does it. Needs atheris (Linux).
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["services"]):
    from tests.fuzz.targets import TARGETS, examples

_WORD = re.compile(rb'"([$A-Za-z_][A-Za-z_ ]{1,30})"')


def main() -> None:
    """Read the arguments and fuzz."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=600)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus, words = prepare(Path(folder), arguments.target)
        limits = (f"-max_total_time={arguments.seconds}", "-timeout=5", "-rss_limit_mb=2048", "-max_len=8192", "-print_final_stats=1")
        atheris.Setup([sys.argv[0], *limits, f"-dict={words}", str(corpus)], TARGETS[arguments.target])
        atheris.Fuzz()


def prepare(folder: Path, target: str) -> tuple[Path, Path]:
    """Lay out a target's corpus, an input a file, and a dictionary of the words that stand in any target's; return both."""
    corpus, words = folder / "corpus", folder / "words"
    corpus.mkdir()
    found = examples()
    for number, content in enumerate(found[target]):
        (corpus / str(number)).write_bytes(content)
    known = {word for contents in found.values() for content in contents for word in _WORD.findall(content)}
    words.write_bytes(b"".join(b'"\\"%b\\":"\n' % word for word in sorted(known)))
    return corpus, words


if __name__ == "__main__":
    main()
