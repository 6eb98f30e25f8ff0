"""`povod tail`: a live view of a topic, whatever engine it lies on. It reads as a stranger: no group's offsets are taken or moved."""

import json
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from uuid import uuid4

import click

from services.commands.invocation import Invocation
from services.commands.tail_lines import fields_of, line_of
from services.commands.times import moment
from services.contracts.errors import LogUnavailable
from services.contracts.topics import DISPATCH, EVENTS, REJECTED
from services.runtime.clock import SystemClock
from services.runtime.eventlog.opening import open_log
from services.runtime.eventlog.port import EventLog, Record, TopicPartition
from services.runtime.lifecycle import stopping_on_signals
from services.runtime.settings import Settings

_TOPICS = {"events": EVENTS, "dispatch": DISPATCH, "rejected": REJECTED}
_POLL = timedelta(milliseconds=500)
_MOST = 500
"""Records of a partition that are read at once."""


class Since(NamedTuple):
    """Where to begin: at the `start` or the `end` of what there is; records that came before `at` are left out."""

    place: Literal["start", "end"]
    at: datetime | None = None


def _since(context: click.Context, option: click.Parameter, value: str | None) -> Since | None:
    if value is None:
        return None
    return Since("start") if value == "start" else Since("start", moment(context, option, value))


@click.command()
@click.argument("topic", type=click.Choice(sorted(_TOPICS)))
@click.option("--from", "since", callback=_since, metavar="start|TIME", help="Begin there.  [default: now; with --no-follow: start]")
@click.option("--no-follow", is_flag=True, help="End when everything that is there now was shown.")
@click.option("--full", is_flag=True, help="Show addresses, names and the values of messages too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a record.")
@click.pass_obj
def tail(invocation: Invocation, *, topic: str, since: Since | None, no_follow: bool, full: bool, as_json: bool) -> None:
    """Show what comes into a topic: events of customers, messages to be sent, or events rejected and why. Personal data is masked."""

    def show(record: Record) -> None:
        fields = fields_of(record, full=full)
        click.echo(json.dumps(fields, ensure_ascii=False) if as_json else line_of(fields))
        sys.stdout.flush()

    begin = since or Since("start" if no_follow else "end")
    invocation.run(_tail(invocation.settings, _TOPICS[topic], begin, show, follows=not no_follow))


async def _tail(settings: Settings, topic: str, since: Since, show: Callable[[Record], None], *, follows: bool) -> None:
    """Show records until there are no more, or until told to stop."""
    stranger = settings.log.model_copy(update={"instance": ""})  # a name of its own is for a process that comes back
    log = open_log(stranger, settings.data, SystemClock(), read_only=True)
    async with stopping_on_signals() as stop:
        try:
            await log.start()
            async with aclosing(records_of(log, topic, since, follows=follows)) as found:
                async for records in found:
                    for record in records:
                        show(record)
                    if stop.is_set():
                        return
        finally:
            await log.close()


async def records_of(log: EventLog, topic: str, since: Since, *, follows: bool) -> AsyncGenerator[Sequence[Record], None]:
    """Yield what is in a topic, poll by poll (empty ones too), in the order in which it was appended as far as one poll tells.

    Ends where everything was yielded that was there at the begin, unless it follows. A log that is away is waited for while it follows.
    """
    bounds = {at: await log.bounds(at) for at in [TopicPartition(topic, number) for number in range(await log.partitions(topic))]}
    position = _Position({at: first if since.place == "start" else end for at, (first, end) in bounds.items()})
    reader = log.reader(f"povod.tail.{uuid4().hex}", [topic], position)
    await reader.start()
    try:
        while follows or any(position.next[at] < end for at, (_, end) in bounds.items()):
            try:
                batches = await reader.poll(max_records=_MOST, timeout=_POLL)
            except LogUnavailable as error:
                if not follows:
                    raise
                click.echo(f"waiting for the log: {error}", err=True)
                batches = {}
            position.next.update({at: batch.next_offset for at, batch in batches.items()})
            found = [record for batch in batches.values() for record in batch.records if since.at is None or record.appended_at >= since.at]
            yield sorted(found, key=lambda record: record.appended_at)
    finally:
        await reader.close()


class _Position:
    """Where we stand; told to the reader whenever it gets partitions, after a lost connection too."""

    def __init__(self, begin: Mapping[TopicPartition, int]) -> None:
        self.next = dict(begin)

    async def on_assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Go on where we stand; a partition that was made meanwhile from its first record on."""
        return {at: self.next.setdefault(at, 0) for at in partitions}

    async def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Nothing is kept of them."""
