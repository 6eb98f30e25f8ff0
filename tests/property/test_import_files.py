"""Any file is read to its end: each row is accepted, doubled or rejected with a reason, whatever its bytes."""

import asyncio
import io
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from services.contracts.catalogue import Catalogue
from services.contracts.mapping import parse_map
from services.ingest.doors.registry import door_at
from services.ingest.files.importing import Import, Settings
from services.ingest.files.lines import CsvLines, JsonLines, Lines, ReadLine
from services.ingest.files.progress import Progress
from services.ingest.files.shapes import read_own, reader_of
from services.ingest.files.targets import DryRun
from services.ingest.judge import Judge
from services.runtime.clock import FrozenClock

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
MAP = parse_map("customer: a\ntime: {column: b}\ntype: {column: c}\nid: [a]\nnumbers: [d]\n")
CELLS = st.text() | st.sampled_from(["42", "2026-01-01", "1e999", "-0", "null", '"', "\x00", "\ud800", "nan", "9" * 400])
ROWS = st.lists(st.lists(CELLS, min_size=3, max_size=5).map(",".join), max_size=6)
JSON = st.sampled_from(
    [b'{"type":"t","customer":"1"}', b"[]", b"7", b'{"type":7}', b'{"event":"x","distinct_id":1}', b'{"type":"track","userId":{}}']
)


def imported(lines: Lines) -> Progress:
    """Return what a dry run over the lines counts."""
    target = DryRun(Judge(Catalogue({}), 65_536), FrozenClock(NOW), "file")
    return asyncio.run(Import(target, None, None, lambda _rows: None).run(lines, Settings("f")))


def check(progress: Progress) -> None:
    """Check that every event is accounted for."""
    assert progress.done
    assert progress.rejected == sum(each.count for each in progress.codes.values())
    assert all(code and each.line > 0 and each.column > 0 for code, each in progress.codes.items())


@given(ROWS)
def test_any_table(rows: list[str]) -> None:
    """Quotes, NULs, lone surrogates, numbers beyond all bounds."""
    raw = "\n".join(["a,b,c,d", *rows]).encode("utf-8", "surrogatepass")
    file = io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8-sig", errors="surrogateescape", newline="")
    check(imported(CsvLines(file, MAP, "file.csv")))


@given(st.lists(st.binary() | JSON), st.sampled_from(["povod", "/v1/batch", "/batch"]))
def test_any_lines(lines: list[bytes], path: str) -> None:
    """Any bytes as JSON lines, in each shape."""
    check(imported(JsonLines(io.BytesIO(b"\n".join(lines)), _reader(path))))


def _reader(path: str) -> ReadLine:
    door = door_at("POST", path)
    return read_own if door is None else reader_of(door, path, NOW)
