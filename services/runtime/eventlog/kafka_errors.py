"""Where aiokafka's exceptions become ours; nothing of it crosses the adapter's edge."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

from aiokafka.errors import KafkaError

from services.contracts.errors import LogUnavailable

T = TypeVar("T")
FOREIGN = (KafkaError, OSError, TimeoutError, AssertionError)
"""What aiokafka raises where Kafka is away or not as expected; it states some of that with `assert`."""


async def within(limit: timedelta, work: Awaitable[T], what: str) -> T:
    """Await something of aiokafka's; raises `LogUnavailable` where it fails or takes longer than `limit`."""
    try:
        async with asyncio.timeout(limit.total_seconds()):
            return await work
    except FOREIGN as error:
        raise unavailable(what, error) from error


def unavailable(what: str, error: BaseException) -> LogUnavailable:
    """Return our exception for a foreign one."""
    return LogUnavailable(f"Kafka: {what}: {type(error).__name__} {error}".rstrip())


async def stopped(work: Awaitable[object], seconds: float) -> bool:
    """Let something of aiokafka's close itself; whatever becomes of it, go on after that long. Says whether it ended by itself."""
    closing = asyncio.ensure_future(work)
    await asyncio.wait({closing}, timeout=seconds)
    if not closing.done():
        closing.cancel()
        return False
    closing.exception()  # looked at, so that nobody complains: it is closed either way
    return True
