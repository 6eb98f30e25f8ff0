"""How long an append waits for Kafka's acknowledgement."""

import asyncio
import time

from services.runtime.eventlog.kafka_overdue import Overdue, Patience

PATIENCE = Patience(silent=0.3, slow=0.9)


class _Append:
    """Something that waits."""

    def __init__(self) -> None:
        self.begun_at = asyncio.get_running_loop().time()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class _Kafka:
    """Answers questions or does not, and never acknowledges."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.asked = 0

    async def is_there(self) -> bool:
        self.asked += 1
        return self.answers

    def acknowledged_at(self) -> float:
        return float("-inf")


def _overdue(kafka: _Kafka) -> Overdue[_Append]:
    return Overdue(PATIENCE, kafka.acknowledged_at, kafka.is_there, lambda append: append.done.set_result(None))


async def _given_up_after(overdue: Overdue[_Append], append: _Append | None = None) -> float:
    if append is None:
        append = _Append()
        overdue.watch(append)
    await append.done
    overdue.stop()
    return asyncio.get_running_loop().time() - append.begun_at


async def test_silence_ends_soon() -> None:
    """Without a word of Kafka's an append is given up when the allowed silence is over."""
    kafka = _Kafka(answers=False)
    assert 0.3 <= await _given_up_after(_overdue(kafka)) < 0.6
    assert kafka.asked >= 1


async def test_slowness_ends_later() -> None:
    """While Kafka answers questions an append is given up only after the longest wait."""
    assert 0.9 <= await _given_up_after(_overdue(_Kafka(answers=True))) < 1.3


async def test_a_process_that_did_not_run_calls_nobody_silent() -> None:
    """An acknowledgement that lies unread, since the process got no time, is not missed by the timer that fires before it is read."""
    overdue = _overdue(_Kafka(answers=False))
    append = _Append()
    overdue.watch(append)
    asyncio.get_running_loop().call_later(0.1, time.sleep, 0.4)
    while asyncio.get_running_loop().time() < append.begun_at + 0.45:  # noqa: ASYNC110 - time itself is waited for
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.01)
    assert not append.done.done()
    assert 0.5 < await _given_up_after(overdue, append) < 1.0


async def test_who_is_served_in_time_asks_nothing() -> None:
    """An append that is acknowledged soon costs no question, and is not given up."""
    kafka = _Kafka(answers=True)
    overdue = _overdue(kafka)
    append = _Append()
    overdue.watch(append)
    append.done.set_result(None)
    await asyncio.sleep(0.4)
    overdue.stop()
    assert kafka.asked == 0
