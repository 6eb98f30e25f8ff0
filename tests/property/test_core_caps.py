"""No cap is ever exceeded, whatever becomes of the messages and whenever it is reported."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts.messages import Message
from services.rules.core.ruleset import Cap
from services.rules.core.zones import calendar_window, find_zone
from tests.builders import DAY, HOUR, NOON, cap, make_document, make_event, make_journey, make_policy, make_ruleset, on, send, wait
from tests.story import Story

MINUTE = timedelta(minutes=1)
ZONE = "America/New_York"


class Fate(NamedTuple):
    """What becomes of one message: the share of its validity after which it is handed over (or fails), and when that is reported."""

    share: float
    goes: bool
    reported_after: timedelta | None


FATES = st.lists(
    st.builds(
        Fate,
        share=st.floats(0, 1),
        goes=st.sampled_from([True, True, False]),
        reported_after=st.one_of(st.none(), st.integers(0, 4_000).map(lambda minutes: minutes * MINUTE)),
    ),
    min_size=60,
    max_size=60,
)
GAPS = st.lists(st.one_of(st.integers(0, 90), st.integers(0, 3_000)).map(lambda minutes: minutes * MINUTE), min_size=1, max_size=30)


class Handed(NamedTuple):
    """A message that went out."""

    at: datetime
    message: Message


class World:
    """One customer whose messages meet their fates; remembers what really went out."""

    def __init__(self, caps: tuple[Cap, ...], fates: list[Fate], min_gap: timedelta | None = None) -> None:
        journeys = [
            make_journey(
                "mail", send(valid_for=30 * HOUR, channels=("email", "sms")), wait(5 * HOUR, "steps/1"), send("steps/2"), key="event.n"
            ),
            make_journey("text", send(channels=("sms",), tags=("t",)), key="event.n", priority=1),
            make_journey("later", wait(2 * HOUR), send("steps/1", tags=("t",)), trigger=on("page.viewed"), key="event.n"),
        ]
        rules = make_ruleset(*journeys, policy=make_policy(caps=caps, min_gap=min_gap, default_timezone=ZONE))
        self.story = Story(rules, make_document())
        self.handed: list[Handed] = []
        self._fates = fates
        self._seen = 0
        self._reports: list[tuple[datetime, int, Message, str, datetime]] = []

    def run(self, gaps: list[timedelta]) -> None:
        """Let an event come after each gap, and every report at its time."""
        now = NOON
        for number, gap in enumerate(gaps):
            self._pass_to(now := now + gap)
            self.story.tell_event(make_event(("product.added", "page.viewed")[number % 2], {"n": number}, id=str(number), at=now))
            self._meet_fates()
        self._pass_to(now + 30 * DAY)

    def _pass_to(self, moment: datetime) -> None:
        """Fire timers and deliver reports in the order of their times."""
        while True:
            due = min((report[0] for report in self._reports), default=moment)
            self._fire_until(min(due, moment))
            self._reports.sort()
            if not self._reports or self._reports[0][0] > moment:
                return
            at, number, message, outcome, happened_at = self._reports.pop(0)
            data = {"message_id": message.message_id, "channel": message.channel}
            self.story.tell_event(make_event(outcome, data, id=f"report {number}", at=happened_at, received_at=at, source="dispatch"))
            self._meet_fates()

    def _fire_until(self, moment: datetime) -> None:
        self.story.wait_until(moment)
        self._meet_fates()

    def _meet_fates(self) -> None:
        for message in self.story.messages[self._seen :]:
            fate = self._fates[self._seen % len(self._fates)]
            self._seen += 1
            at = message.not_before + (message.expires_at - message.not_before) * fate.share
            if fate.goes:
                self.handed.append(Handed(at, message))
            if fate.reported_after is not None:
                outcome = "message.sent" if fate.goes else "message.failed"
                self._reports.append((at + fate.reported_after, self._seen, message, outcome, at))


def _counts(limit: Cap) -> Callable[[Handed], bool]:
    match limit.scope.of:
        case "channel":
            return lambda handed: handed.message.channel == limit.scope.name
        case "tag":
            return lambda handed: limit.scope.name in handed.message.tags
        case "journey":
            return lambda handed: handed.message.journey == limit.scope.name
        case _:
            return lambda _handed: True


def _most_in_a_window(limit: Cap, handed: list[Handed]) -> int:
    times = sorted(each.at for each in handed if _counts(limit)(each))
    if limit.window == "rolling":
        return max((sum(at - limit.per < other <= at for other in times) for at in times), default=0)
    zone = find_zone(ZONE)
    assert zone is not None
    windows = [calendar_window(at, zone, limit.calendar_unit, max(limit.per // DAY, 1)) for at in times]
    return max((windows.count(window) for window in windows), default=0)


CAPS = [
    cap(1, 7 * DAY),
    cap(3, DAY),
    cap(2, 6 * HOUR, of="tag", name="t"),
    cap(1, DAY, "calendar"),
    cap(2, DAY, "calendar", of="channel", name="sms"),
    cap(3, 7 * DAY, "calendar", unit="week"),
    cap(2, 2 * DAY, "calendar", of="journey", name="mail"),
]


@pytest.mark.parametrize("limit", CAPS, ids=lambda limit: f"{limit.max} {limit.window} {limit.per} {limit.scope.of}")
@given(GAPS, FATES)
@settings(max_examples=30, deadline=None)
def test_a_cap_is_never_exceeded(limit: Cap, gaps: list[timedelta], fates: list[Fate]) -> None:
    """Counting what really went out, at the moment at which it did, in every window."""
    world = World((limit,), fates)
    world.run(gaps)
    assert _most_in_a_window(limit, world.handed) <= limit.max


@given(GAPS, FATES)
@settings(max_examples=30, deadline=None)
def test_all_caps_hold_together(gaps: list[timedelta], fates: list[Fate]) -> None:
    """Stacked caps are each kept."""
    world = World(tuple(CAPS), fates)
    world.run(gaps)
    assert all(_most_in_a_window(limit, world.handed) <= limit.max for limit in CAPS)


@given(GAPS, FATES)
@settings(max_examples=30, deadline=None)
def test_messages_handed_over_at_once_keep_their_distance(gaps: list[timedelta], fates: list[Fate]) -> None:
    """Where dispatch hands over at once and says so, no two messages are closer than the minimum gap."""
    world = World((), [Fate(0.0, fate.goes, timedelta(0)) for fate in fates], min_gap=4 * HOUR)
    world.run(gaps)
    times = sorted(each.at for each in world.handed)
    assert all(later - earlier >= 4 * HOUR for earlier, later in pairwise(times))


@given(GAPS)
@settings(max_examples=30, deadline=None)
def test_a_cap_is_used_up(gaps: list[timedelta]) -> None:
    """The cap is not kept by refusing everything: with each message reported at once, a refusal finds the window full."""
    limit = cap(2, 7 * DAY)
    world = World((limit,), [Fate(0.0, goes=True, reported_after=timedelta(0))])
    world.run(gaps)
    times = [each.at for each in world.handed]
    for decision in world.story.decisions:
        if decision.reason == "frequency_cap":
            assert sum(decision.at - limit.per < at <= decision.at for at in times) >= 2
