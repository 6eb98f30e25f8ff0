"""One file into a target: ids that repeat, a position that follows the acknowledgement, rejects beside."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from services.contracts.aliases import Alias, Aliases, Vocabulary
from services.contracts.catalogue import Catalogue
from services.contracts.errors import LogUnavailable
from services.contracts.incoming import Item
from services.ingest.files.importing import ROWS_AT_ONCE, Import, Settings
from services.ingest.files.lines import JsonLines
from services.ingest.files.progress import ProgressFile
from services.ingest.files.shapes import read_own
from services.ingest.files.targets import DryRun
from services.ingest.judge import Judge, Result
from services.runtime.clock import FrozenClock

SETTINGS = Settings("f1")


class Shelf:
    """A target that keeps what was accepted, and breaks down after `room` batches."""

    def __init__(self, clock: FrozenClock, room: int = 1_000) -> None:
        self._judging = DryRun(Judge(Catalogue({}), 1_000), clock, "file")
        self.room = room
        self.taken: list[Any] = []

    async def take(self, items: Sequence[Item]) -> Sequence[Result]:
        """Judge and keep."""
        if not self.room:
            raise LogUnavailable("no room")
        self.room -= 1
        results = await self._judging.take(items)
        self.taken += [item for item, result in zip(items, results, strict=True) if result.status == "accepted"]
        return results


@pytest.fixture
def shelf(frozen_clock: FrozenClock) -> Shelf:
    """Return a target with room for all."""
    return Shelf(frozen_clock)


def of(*events: str) -> JsonLines:
    """Return a file of these lines."""
    return JsonLines(io.BytesIO("".join(f"{event}\n" for event in events).encode()), read_own)


def a_visit(customer: str, **more: object) -> str:
    """Return one event as a line."""
    return json.dumps({"type": "visited", "customer": customer, **more})


def importing(target: Shelf, folder: Path) -> Import:
    """Return an import that keeps its progress and its rejects in a folder."""
    return Import(target, ProgressFile(folder, "visits"), folder / "visits.ndjson.rejected.ndjson", lambda _rows: None)


async def test_events_get_the_same_id_each_time(shelf: Shelf, tmp_path: Path) -> None:
    """An event without an id is named by file and line, a blank id is none, and its own stays."""
    lines = [a_visit("1"), a_visit("2", id="  "), a_visit("3", id="own"), f"[{a_visit('4')}, {a_visit('5')}]"]
    await importing(shelf, tmp_path / "a").run(of(*lines), SETTINGS)
    await importing(shelf, tmp_path / "b").run(of(*lines), SETTINGS)
    ids = [event.id for event in shelf.taken]
    assert ids[:5] == ["f1:1", "f1:2", "own", "f1:4", "f1:4:1"]
    assert ids[5:] == ids[:5]


async def test_events_are_marked_and_renamed(shelf: Shelf, tmp_path: Path) -> None:
    """Asked for, all are historical and types translated, on the strict path and on the lenient one."""
    settings = Settings("f1", historical=True, aliases=Aliases(Vocabulary("", "", {"Visited": Alias("page.viewed", {"at": "url"})})))
    lines = [a_visit("1", data={"at": "/"}), '{"type": "visited", "customer": "2", "data": {"at": NaN}}']
    done = await importing(shelf, tmp_path).run(of(*lines), settings)
    strict, lenient = shelf.taken
    assert (strict.type, strict.data, strict.historical) == ("page.viewed", {"url": "/"}, True)
    assert lenient == {"type": "page.viewed", "customer": "2", "data": {"url": None}, "id": "f1:2", "historical": True, "sent_at": None}
    assert done.accepted == 2


async def test_times_of_a_file_are_taken_as_they_are(shelf: Shelf, tmp_path: Path) -> None:
    """When a line was once sent says nothing of a clock now: no time is corrected by it, on either path."""
    sent = {"time": "2026-03-01T10:00:00Z", "sent_at": "2026-03-01T10:00:05Z"}
    lines = [a_visit("1", **sent), a_visit("2", **sent, data={"n": float("nan")})]
    await importing(shelf, tmp_path).run(of(*lines), SETTINGS)
    strict, lenient = shelf.taken
    assert (strict.sent_at, lenient["sent_at"]) == (None, None)


async def test_a_break_costs_nothing(frozen_clock: FrozenClock, tmp_path: Path) -> None:
    """What was acknowledged is not sent again, what was not is; figures and rejects are those of one unbroken run."""
    lines = [a_visit(str(number)) if number % 500 else "nonsense" for number in range(ROWS_AT_ONCE * 3)]
    shelf = Shelf(frozen_clock, room=2)
    with pytest.raises(LogUnavailable):
        await importing(shelf, tmp_path).run(of(*lines), SETTINGS)
    rejects = tmp_path / "visits.ndjson.rejected.ndjson"
    with rejects.open("ab") as file:
        file.write(b'{"line": "half writ')
    shelf.room = 10
    done = await importing(shelf, tmp_path).run(of(*lines), SETTINGS)
    assert (done.rows, done.accepted, done.rejected, done.done) == (3_000, 2_994, 6, True)
    assert [event.id for event in shelf.taken] == [f"f1:{number + 1}" for number in range(3_000) if number % 500]
    assert [json.loads(line)["line"] for line in rejects.read_text().splitlines()] == [1, 501, 1001, 1501, 2001, 2501]


async def test_rejects_may_be_taken_away_between_breaks(frozen_clock: FrozenClock, tmp_path: Path) -> None:
    """Whoever has moved the file to mend what is in it finds the later ones in a new one, whole, whatever breaks."""
    lines = [a_visit(str(number)) if number % 500 else "nonsense" for number in range(ROWS_AT_ONCE * 4)]
    shelf, rejects, found = Shelf(frozen_clock, room=2), tmp_path / "visits.ndjson.rejected.ndjson", list[int]()
    for room in (1, 10):
        with pytest.raises(LogUnavailable):
            await importing(shelf, tmp_path).run(of(*lines), SETTINGS)
        found += [json.loads(line)["line"] for line in rejects.read_text().splitlines()]
        rejects.unlink()
        shelf.room = room
    await importing(shelf, tmp_path).run(of(*lines), SETTINGS)
    found += [json.loads(line)["line"] for line in rejects.read_text().splitlines()]
    assert found == [1, 501, 1001, 1501, 2001, 2501, 3001, 3501]


async def test_rejects_that_were_taken_away_leave_no_hole(frozen_clock: FrozenClock, tmp_path: Path) -> None:
    """A file that is shorter than the last run left it is gone on with at its end."""
    lines = [a_visit(str(number)) if number % 500 else "nonsense" for number in range(ROWS_AT_ONCE * 2)]
    shelf, rejects = Shelf(frozen_clock, room=1), tmp_path / "visits.ndjson.rejected.ndjson"
    with pytest.raises(LogUnavailable):
        await importing(shelf, tmp_path).run(of(*lines), SETTINGS)
    rejects.write_text("{}\n")
    shelf.room = 10
    await importing(shelf, tmp_path).run(of(*lines), SETTINGS)
    assert [json.loads(line).get("line") for line in rejects.read_text().splitlines()] == [None, 1001, 1501]


async def test_a_finished_file_is_not_read_again(shelf: Shelf, tmp_path: Path) -> None:
    """A repeat sends nothing and says what was."""
    await importing(shelf, tmp_path).run(of(a_visit("1")), SETTINGS)
    done = await importing(shelf, tmp_path).run(of(a_visit("1")), SETTINGS)
    assert (done.rows, done.accepted, len(shelf.taken)) == (1, 1, 1)


async def test_rejects_are_counted_by_code_with_their_first_place(shelf: Shelf, tmp_path: Path) -> None:
    """Line and column of the first, its message, and the row as it stood, beside the file."""
    lines = [a_visit("1"), a_visit("2", time="2026-03-02T10:00:00"), a_visit("null"), a_visit("", time=None), a_visit("null")]
    done = await importing(shelf, tmp_path).run(of(*lines), SETTINGS)
    found = {code: (each.count, each.line, each.column) for code, each in done.codes.items()}
    assert found == {"naive_time": (1, 2, 38), "placeholder_id": (2, 3, 21), "missing_customer": (1, 4, 21)}
    first = json.loads((tmp_path / "visits.ndjson.rejected.ndjson").read_text().splitlines()[0])
    assert (first["line"], first["code"], json.loads(first["original"])["customer"]) == (2, "naive_time", "2")


async def test_a_dry_run_keeps_nothing(shelf: Shelf, tmp_path: Path) -> None:
    """Without a memory nothing is written, and the figures are the same."""
    lines = [a_visit("1", id="a"), a_visit("1", id="a"), a_visit("2", time="2020-01-01T00:00:00Z"), "nonsense"]
    done = await Import(shelf, None, None, lambda _rows: None).run(of(*lines), SETTINGS)
    assert (done.accepted, done.duplicates, done.clamped, done.rejected) == (2, 1, 1, 1)
    assert not tmp_path.joinpath("visits.ndjson.rejected.ndjson").exists()
