"""The example shop as a stream of events: its clickstream, and before each visitor's first click their made-up registration."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from services.authoring.personas import registration_of
from services.contracts.events import Event
from services.contracts.ids import CustomerId, EventId
from services.contracts.mapping import parse_map, read_files

REGISTERED = "customer.registered"
_BEFORE = timedelta(seconds=1)


def shop_events(folder: Path, start: datetime | None = None, end: datetime | None = None) -> list[Event]:
    """Return the events of `examples/shop` in `[start, end)` by time, each visitor's registration a second before their first.

    Raises `Rejected` where the folder's files can't be read.
    """
    event_map = parse_map((folder / "map.yaml").read_text(encoding="utf-8"))
    clicks = read_files([folder / "clickstream.csv.gz"], event_map).events
    inside = [event for event in clicks if (start is None or start <= event.time) and (end is None or event.time < end)]
    # Sorting is stable: registrations come first, so they also stand before clicks of the same moment.
    return sorted([*_registrations(inside), *inside], key=lambda event: event.time)


def _registrations(clicks: Sequence[Event]) -> Iterator[Event]:
    seen: set[CustomerId] = set()
    for click in clicks:
        if click.subject not in seen:
            seen.add(click.subject)
            yield _registration(click)


def _registration(click: Event) -> Event:
    return msgspec.structs.replace(
        click,
        id=EventId(f"registration:{click.subject}"),
        type=REGISTERED,
        time=click.time - _BEFORE,
        receivedtime=click.time - _BEFORE,
        data=registration_of(click.subject, click.data["user_lifecycle"]),
    )
