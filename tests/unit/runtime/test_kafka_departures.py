"""When Kafka's batches leave: together, and not while others are under way."""

import asyncio

from services.runtime.eventlog.kafka_departures import Departures, Lane
from services.runtime.eventlog.port import TopicPartition

NEVER = 60.0


def _lanes(number: int) -> list[Lane]:
    return [Lane(TopicPartition("topic", each)) for each in range(number)]


async def _gone(*lanes: Lane) -> None:
    """Wait until all of them were let go, as their tasks do."""
    async with asyncio.timeout(5):
        for lane in lanes:
            await lane.go.wait()
            lane.go.clear()


async def test_who_waits_leaves_together() -> None:
    """All lanes that were added within the linger go at its end, each once however often it was added."""
    departures, (one, other, idle) = Departures(0.005, NEVER), _lanes(3)
    for lane in (one, other, one):
        departures.add(lane)
    assert (one.go.is_set(), other.go.is_set()) == (False, False)
    await one.go.wait()
    assert (other.go.is_set(), idle.go.is_set()) == (True, False)
    departures.stop()


async def test_the_next_ones_leave_when_all_have_landed() -> None:
    """What is added while batches are under way goes at once when the last of these has landed, and no sooner."""
    departures, (one, other, third) = Departures(0, NEVER), _lanes(3)
    departures.add(one)
    departures.add(other)
    await _gone(one, other)
    departures.add(third)
    departures.add(one)
    departures.landed(one, one.flight)
    assert (one.go.is_set(), third.go.is_set()) == (False, False)
    departures.landed(other, other.flight)
    assert (one.go.is_set(), third.go.is_set(), other.go.is_set()) == (True, True, False)
    departures.stop()


async def _land_while_another_waits(departures: Departures, weight: int) -> Lane:
    """Have one lane land while another has only begun to wait, with so many bytes; return that one."""
    first, second = _lanes(2)
    departures.add(first)
    await _gone(first)
    departures.weigh(weight)
    departures.add(second)
    departures.landed(first, first.flight)
    return second


async def test_a_landing_does_not_cut_the_linger_short() -> None:
    """Who has waited for a moment only, with little to carry, waits on for company, and leaves at his linger's end."""
    departures = Departures(0.05, NEVER)
    waiting = await _land_while_another_waits(departures, 1_000)
    assert not waiting.go.is_set()
    await _gone(waiting)
    departures.stop()


async def test_who_has_enough_leaves_at_the_landing() -> None:
    """Much to carry needs no company."""
    departures = Departures(0.05, NEVER)
    waiting = await _land_while_another_waits(departures, 200_000)
    assert waiting.go.is_set()
    departures.stop()


async def test_after_an_idle_landing_the_linger_begins_anew() -> None:
    """Where nobody waited for the landing, the next one to wait goes after the linger."""
    departures, (lane,) = Departures(0, NEVER), _lanes(1)
    for _ in range(2):
        departures.add(lane)
        await _gone(lane)
        departures.landed(lane, lane.flight)
    departures.stop()


async def test_who_does_not_land_holds_up_nobody_for_long() -> None:
    """A batch that nobody acknowledges lets other lanes go after a moment, and its own lane when it is given up."""
    departures, (stuck, other) = Departures(0, 0.3), _lanes(2)
    departures.add(stuck)
    await _gone(stuck)
    lost = stuck.flight
    departures.add(stuck)
    departures.add(other)
    await _gone(other)
    assert not stuck.go.is_set()
    departures.landed(other, other.flight)
    await _gone(stuck)
    departures.landed(stuck, lost)
    assert stuck.flight is not lost
    assert stuck.flight is not None
    departures.stop()
