"""How much is under way at once: enough that one batch waits for the database while another decides, no more, so that each is soon done."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Room:
    """Holds batches of `records` together, and at least two of any size; first come, first served."""

    def __init__(self, records: int) -> None:
        self._free = records
        self._most = records // 2
        self._turn = asyncio.Lock()
        self._left = asyncio.Event()

    @asynccontextmanager
    async def hold(self, records: int) -> AsyncIterator[None]:
        """Run the block once there is room for that many records."""
        share = min(records, self._most)
        async with self._turn:
            while self._free < share:
                self._left.clear()
                await self._left.wait()
            self._free -= share
        try:
            yield
        finally:
            self._free += share
            self._left.set()
