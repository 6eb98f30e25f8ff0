"""`povod tail`: what comes into a topic, on either engine, without touching anybody's place in it."""

import asyncio
import json
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from services.cli import povod
from services.commands.invocation import Invocation
from services.commands.tail import Since, records_of
from services.contracts.topics import DEAD_LETTERS, DISPATCH, EVENTS
from services.runtime.clock import FrozenClock, SystemClock
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.eventlog.embedded_watch import WatchedEventLog
from services.runtime.eventlog.port import EventLog, OutgoingRecord
from tests.fixtures_log import SOON, EmbeddedLogs

ANN = {
    "type": "customer.identified",
    "subject": "ann",
    "id": "e1",
    "source": "shop",
    "data": {"email": "ann@shop.example", "traits": {"name": "Ann Lee"}},
}
SEND = {
    "command": "message.send",
    "customer": "ann",
    "channel": "email",
    "recipient": "ann@shop.example",
    "context": {"greeting": "Ann Lee"},
}


def _records(*keys: str) -> list[OutgoingRecord]:
    return [OutgoingRecord(key.encode(), b'{"type":"page.viewed"}') for key in keys]


async def _all(log: EventLog, topic: str, since: Since) -> list[str]:
    """Return the keys of everything that is there, in the order shown."""
    async with asyncio.timeout(SOON.total_seconds()), aclosing(records_of(log, topic, since, follows=False)) as found:
        return [(record.key or b"").decode() async for records in found for record in records]


async def test_everything_that_is_there_is_shown_and_then_it_ends(event_log: EventLog, topic: str) -> None:
    """From the start without following, every record of every partition comes once; from the end, none."""
    await event_log.ensure_topics({topic: 4})
    keys = [f"customer {number}" for number in range(50)]
    for key in keys:
        await event_log.append(topic, _records(key))
    assert sorted(await _all(event_log, topic, Since("start"))) == sorted(keys)
    assert await _all(event_log, topic, Since("end")) == []


async def test_an_empty_topic_ends_at_once(event_log: EventLog, topic: str) -> None:
    """Where there is nothing, nothing is waited for."""
    await event_log.ensure_topics({topic: 2})
    assert await _all(event_log, topic, Since("start")) == []


async def test_what_comes_is_shown_live_to_everybody(event_log: EventLog, topic: str) -> None:
    """Two views of one topic both see what is appended after they began, and nothing older: neither takes anything from the other."""
    await event_log.ensure_topics({topic: 2})
    await event_log.append(topic, _records("old"))

    async def first_new(begun: asyncio.Event) -> str:
        async with aclosing(records_of(event_log, topic, Since("end"), follows=True)) as found:
            async for records in found:
                begun.set()
                if records:
                    return (records[0].key or b"").decode()
        return ""

    begun = [asyncio.Event(), asyncio.Event()]
    views = [asyncio.create_task(first_new(each)) for each in begun]
    async with asyncio.timeout(2 * SOON.total_seconds()):
        for each in begun:
            await each.wait()
        await event_log.append(topic, _records("new"))
        assert await asyncio.gather(*views) == ["new", "new"]


async def test_a_time_leaves_out_what_came_before(embedded_logs: EmbeddedLogs, frozen_clock: FrozenClock) -> None:
    """From a time on, what was appended earlier is left out; at that very moment counts."""
    log = await embedded_logs.open(frozen_clock)
    await log.ensure_topics({"t": 2})
    for key in ("ann", "bob", "cid"):
        await log.append("t", _records(key))
        frozen_clock.advance(timedelta(hours=1))
    since = Since("start", frozen_clock.now() - timedelta(hours=2))
    assert await _all(log, "t", since) == ["bob", "cid"]


async def test_a_log_that_another_process_owns_can_be_watched(embedded_logs: EmbeddedLogs, frozen_clock: FrozenClock) -> None:
    """The embedded log is looked into while its owner writes."""
    owner = await embedded_logs.open(frozen_clock)
    await owner.ensure_topics({"t": 1})
    watched = WatchedEventLog(embedded_logs.path, frozen_clock)
    await watched.start()
    try:
        async with asyncio.timeout(SOON.total_seconds()), aclosing(records_of(watched, "t", Since("end"), follows=True)) as found:
            assert await anext(found) == []
            await owner.append("t", _records("ann"))
            seen: list[bytes | None] = []
            while not seen:
                seen = [record.key for record in await anext(found)]
        assert seen == [b"ann"]
    finally:
        await watched.close()


def _tail(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(povod, ["tail", *arguments, "--data", str(folder)], obj=Invocation({}))


def _lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a data folder with an event and a message in its log, and what is no JSON."""

    async def _fill() -> None:
        log = EmbeddedEventLog(tmp_path / "log.db", {EVENTS: 2, DISPATCH: 1, EVENTS + DEAD_LETTERS: 1}, SystemClock())
        await log.start()
        await log.append(EVENTS, [OutgoingRecord(b"ann", json.dumps(ANN).encode())])
        await log.append(EVENTS, [OutgoingRecord(b"ann", b"\xff no JSON")])
        await log.append(DISPATCH, [OutgoingRecord(b"ann", json.dumps(SEND).encode())])
        await log.append(EVENTS + DEAD_LETTERS, [OutgoingRecord(b"", b'{"customer": "ann"}', (("reason", b"missing_type"),))])
        await log.close()

    asyncio.run(_fill())
    return tmp_path


def test_the_command_shows_records_masked(folder: Path) -> None:
    """Each record is an object with its place and value; addresses and names are masked, what is no JSON is named as such."""
    good, bad = _lines(_tail(folder, "events", "--no-follow", "--json"))
    assert (good["topic"], good["key"], good["offset"]) == (EVENTS, "ann", 0)
    assert good["value"]["data"] == {"email": "a***@shop.example", "traits": {"name": "***"}}
    assert (bad["undecodable"], "value" in bad) == (9, False)
    (message,) = _lines(_tail(folder, "dispatch", "--no-follow", "--json"))
    assert (message["value"]["recipient"], message["value"]["context"]) == ("a***@shop.example", {"greeting": "***"})


def test_everything_is_shown_where_it_is_asked_for(folder: Path) -> None:
    """With --full nothing is masked."""
    good, _ = _lines(_tail(folder, "events", "--no-follow", "--full", "--json"))
    assert good["value"] == ANN
    (message,) = _lines(_tail(folder, "dispatch", "--no-follow", "--full", "--json"))
    assert message["value"] == SEND


def test_rejected_events_are_shown_with_their_reason(folder: Path) -> None:
    """The dead letters of events are a topic like the others, with why each is one."""
    (rejected,) = _lines(_tail(folder, "rejected", "--no-follow", "--json"))
    assert (rejected["why"], rejected["value"]) == ({"reason": "missing_type"}, {"customer": "ann"})


def test_people_get_a_line_a_record(folder: Path) -> None:
    """A line says when, what, who, and the data, masked."""
    first, second = _tail(folder, "events", "--no-follow", "--from", "2020-01-01").stdout.splitlines()
    assert first[10:] == 'customer.identified  ann  shop  e1  {"data":{"email":"a***@shop.example","traits":{"name":"***"}}}'
    assert second[10:] == "no JSON object, 9 bytes, key ann"
    assert _tail(folder, "events", "--no-follow", "--from", "2999-01-01").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"), [(("receipts",), "'receipts' is not one of"), (("events", "--from", "soon"), "'soon' is no time")]
)
def test_a_wrong_call_is_explained(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    """An unknown topic and a time that is none end in exit code 2 and a sentence."""
    result = _tail(folder, *arguments)
    assert (result.exit_code, said in result.output) == (2, True)


def test_without_a_log_the_way_to_one_is_shown(tmp_path: Path) -> None:
    """Where there is no log yet, the sentence says what to start."""
    result = _tail(tmp_path, "events")
    assert result.exit_code == 1
    assert "start `povod serve` with this data folder once" in result.output
