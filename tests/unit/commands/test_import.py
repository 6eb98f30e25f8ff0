"""`povod import` as a user calls it, straight into the embedded log: what it prints, keeps and writes beside."""

import asyncio
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from services.cli import povod
from services.commands.import_events import import_events
from services.commands.invocation import Invocation
from services.contracts.codec import decode_event
from services.contracts.events import Event
from services.runtime.clock import SystemClock
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.eventlog.embedded_reader import Wanted
from services.runtime.eventlog.port import Record, TopicPartition

MAP = "customer: user\ntime: {column: at}\ntype: {column: what, map: {buy: order.completed}}\n"
ROWS = "user,at,what,sum\nann,2026-01-01,buy,5\nbob,soon,buy,5\n,2026-01-01,buy,5\nann,2026-01-02,view,1\n"
TOPICS = {"povod.events": 8, "povod.events.dlq": 1}


def call(data: Path, *arguments: str | Path) -> Result:
    """Run the command as the shell would."""
    return CliRunner().invoke(import_events, [str(argument) for argument in arguments], obj=Invocation({"POVOD_DATA": str(data)}))


def figures(result: Result) -> dict[str, Any]:
    """Return what was printed of the first file."""
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)["files"][0]
    return found


def records(data: Path, topic: str = "povod.events") -> Sequence[Record]:
    """Return what lies in the log of a data folder."""
    return asyncio.run(_records(data, topic))


async def _records(data: Path, topic: str) -> Sequence[Record]:
    log = EmbeddedEventLog(data / "log.db", TOPICS, SystemClock())
    await log.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(TOPICS[topic])]
        shares = await log.fetch([Wanted(each, 0, log.span(each)[1]) for each in partitions], 1_000_000)
        return [record for share in shares for record in share]
    finally:
        await log.close()


def events(data: Path) -> list[Event]:
    """Return the events of a data folder by customer and time."""
    return sorted((decode_event(record.value) for record in records(data)), key=lambda event: (event.subject, event.time))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a CSV of four rows, two of which are no events, with its map beside it."""
    (tmp_path / "map.yaml").write_text(MAP, encoding="utf-8")
    file = tmp_path / "shop.csv.gz"
    file.write_bytes(gzip.compress(ROWS.encode()))
    return file


def test_a_csv_lands_in_the_log(shop: Path, tmp_path: Path) -> None:
    """Good rows are on the topic with their own times, bad ones among the dead letters and beside the file."""
    data = tmp_path / "data"
    printed = figures(call(data, shop, "--map", tmp_path / "map.yaml", "--historical", "--json"))
    assert [(e.subject, e.type, f"{e.time:%m-%d}", e.source, e.historical, e.data) for e in events(data)] == [
        ("ann", "order.completed", "01-01", "file", True, {"sum": "5"}),
        ("ann", "view", "01-02", "file", True, {"sum": "1"}),
    ]
    assert [dict(record.headers)["reason"] for record in records(data, "povod.events.dlq")] == [b"invalid_time", b"missing_customer"]
    beside = [json.loads(line) for line in (tmp_path / "shop.csv.gz.rejected.ndjson").read_text().splitlines()]
    assert [(row["line"], row["column"], row["code"], row["original"][0]) for row in beside] == [
        (3, 2, "invalid_time", "bob"),
        (4, 1, "missing_customer", ""),
    ]
    counted = {name: printed[name] for name in ("file", "rows", "accepted", "duplicates", "rejected", "clamped", "resumed_at")}
    assert counted == {"file": "shop.csv.gz", "rows": 4, "accepted": 2, "duplicates": 0, "rejected": 2, "clamped": 0, "resumed_at": 0}
    assert printed["events_per_s"] > 0


def test_a_repeat_is_a_no_op(shop: Path, tmp_path: Path) -> None:
    """The second call says that it was done before; asked to do it again, it gives the same ids."""
    asked = (shop, "--map", tmp_path / "map.yaml", "--historical")
    call(tmp_path / "data", *asked)
    said = call(tmp_path / "data", *asked).stdout
    assert said == "shop.csv.gz: imported before (4 rows); nothing to do (--again begins anew)\n"
    assert len(records(tmp_path / "data")) == 2
    call(tmp_path / "data", *asked, "--again")
    ids = [event.id for event in events(tmp_path / "data")]
    assert (len(ids), len(set(ids))) == (4, 2)


def test_a_dry_run_reports_and_keeps_nothing(shop: Path, tmp_path: Path) -> None:
    """Each reason with its count and first place; no log, no memory, no file of rejects."""
    said = call(tmp_path / "data", shop, "--map", tmp_path / "map.yaml", "--dry-run").stdout.splitlines()
    assert said[0].startswith("shop.csv.gz: 4 rows: 2 would be accepted, 0 doubled in the file, 2 would be rejected (")
    assert said[1:] == [
        "  invalid_time: 1, the first at shop.csv.gz:3:2: at: 'soon' is no ISO 8601 time; name the column's form in the map (format:)",
        "  missing_customer: 1, the first at shop.csv.gz:4:1: an event needs a customer: your own id of the person, or an anonymous one",
        "  2 times lay before the last 30 days or ahead of now, and are moved; --historical keeps old ones",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.yaml", "shop.csv.gz"]


def test_json_lines_need_no_map(tmp_path: Path) -> None:
    """Our own shape, with a source of its own or the named one."""
    file = tmp_path / "events.ndjson"
    file.write_text('{"type": "a", "customer": "1", "source": "crm"}\n{"type": "b", "customer": "2"}\n', encoding="utf-8")
    call(tmp_path / "data", file, "--key-name", "till")
    assert [(event.type, event.source) for event in events(tmp_path / "data")] == [("a", "crm"), ("b", "till")]


SEGMENT = [
    {
        "type": "track",
        "event": "Order Completed",
        "userId": "42",
        "messageId": "m1",
        "timestamp": "2026-01-01T10:00:00Z",
        "properties": {"total": 5},
    },
    {
        "type": "identify",
        "anonymousId": "v1",
        "userId": "42",
        "messageId": "m2",
        "timestamp": "2026-01-01T09:00:00Z",
        "traits": {"plan": "gold"},
    },
]
POSTHOG = [
    {"event": "$pageview", "distinct_id": "42", "uuid": "u1", "timestamp": "2026-01-01T10:00:00Z", "properties": {"$current_url": "/"}}
]


def test_exports_of_others_are_read(tmp_path: Path) -> None:
    """Lines of Segment's and PostHog's shapes go through the doors of these clients: names, identities and ids are theirs."""
    for shape, messages in (("segment", SEGMENT), ("posthog", POSTHOG)):
        file = tmp_path / f"{shape}.ndjson"
        lines = [json.dumps({**message, "sentAt": "2026-01-01T11:00:00Z"}) for message in messages]
        file.write_text("\n".join([*lines, '1], "x": [2', "[]"]), encoding="utf-8")
        printed = figures(call(tmp_path / shape, file, "--shape", shape, "--historical", "--json"))
        assert (printed["accepted"], {code: each["line"] for code, each in printed["codes"].items()}) == (
            len(messages),
            {"invalid_json": len(messages) + 1, "not_an_object": len(messages) + 2},
        )
    found = [(event.id, event.subject, event.type, f"{event.time:%H}") for event in events(tmp_path / "segment")]
    assert found == [
        ("m2", "42", "customer.identified", "09"),
        ("m1", "42", "order.completed", "10"),
        ("merge:m2", "v1", "povod.merge", "09"),
    ]
    (viewed,) = events(tmp_path / "posthog")
    assert (viewed.id, viewed.subject, viewed.type, viewed.data["url"], f"{viewed.time:%H}") == ("u1", "42", "page.viewed", "/", "10")


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("shop.csv.gz",), 1, "a CSV needs a map"),
        (("shop.csv.gz", "--url", "http://127.0.0.1:1"), 2, "--url needs --key"),
        (("cut.ndjson.gz",), 1, "can't be read"),
        (("broken.ndjson.gz",), 1, "can't be read"),
        (("shop.csv.gz", "--map", "map.yaml", "--aliases", "nobody"), 1, "nobody"),
    ],
)
def test_what_is_wrong_is_said(shop: Path, tmp_path: Path, arguments: Sequence[str], code: int, complaint: str) -> None:
    """One sentence, no traceback."""
    (tmp_path / "cut.ndjson.gz").write_bytes(gzip.compress(b'{"type": "a", "customer": "1"}\n' * 100)[:-12])
    (tmp_path / "broken.ndjson.gz").write_bytes(b"\x1f\x8b no gzip")
    named = [str(tmp_path / each) if "." in each and "/" not in each else each for each in arguments]
    result = CliRunner().invoke(povod, ["import", *named], obj=Invocation({"POVOD_DATA": str(tmp_path / "data")}))
    assert (result.exit_code, complaint in result.output) == (code, True), result.output


def test_an_address_that_is_none_is_left_out_and_counted(tmp_path: Path) -> None:
    """Numbers of a file get the form that ingest gives them; what is none is left out and told, and nothing is rejected."""
    people = [
        {"type": "customer.identified", "customer": f"c{number}", "id": f"i{number}", "data": {"phone": phone}}
        for number, phone in enumerate(["8 916 123-45-67", "88005553535", "8 800 555-35-35"])
    ]
    file = tmp_path / "people.ndjson"
    file.write_text("".join(f"{json.dumps(each)}\n" for each in people), encoding="utf-8")
    result = call(tmp_path, file)
    assert result.exit_code == 0, result.output
    warning = "/data/phone is no mobile number (toll free); it was left out"
    assert f"  {warning}: 2 times, the first at people.ndjson:2" in result.stdout.splitlines()
    assert [event.data for event in events(tmp_path)] == [{"phone": "+79161234567"}, {}, {}]
    assert figures(call(tmp_path, file, "--dry-run", "--json"))["left_out"][warning]["count"] == 2


def test_a_log_that_runs_elsewhere_is_reached_by_http(tmp_path: Path) -> None:
    """While `serve` owns the embedded log, the command says how to import through it."""
    file = tmp_path / "events.ndjson"
    file.write_text('{"type": "a", "customer": "1"}\n', encoding="utf-8")
    log = EmbeddedEventLog(tmp_path / "log.db", TOPICS, SystemClock())
    with asyncio.Runner() as runner:
        runner.run(log.start())
        result = CliRunner().invoke(povod, ["import", str(file)], obj=Invocation({"POVOD_DATA": str(tmp_path)}))
        runner.run(log.close())
    assert result.exit_code == 1
    assert "another povod process uses this data folder" in result.output
    assert "or import through it: --url http://127.0.0.1:8080 --key KEY" in result.output
