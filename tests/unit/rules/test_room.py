"""How many batches are under way at once."""

import asyncio

from services.rules.room import Room


class Batches:
    """Batches that go on until they are told to end, by number."""

    def __init__(self, room: Room, *sizes: int) -> None:
        self.running: set[int] = set()
        self.ends = [asyncio.Event() for _ in sizes]
        self.tasks = [asyncio.create_task(self._run(room, number, size)) for number, size in enumerate(sizes)]

    async def _run(self, room: Room, number: int, size: int) -> None:
        async with room.hold(size):
            self.running.add(number)
            await self.ends[number].wait()
        self.running.discard(number)

    async def end(self, number: int) -> set[int]:
        """End a batch; return those that run then."""
        self.ends[number].set()
        await self.tasks[number]
        return await self.settle()

    async def settle(self) -> set[int]:
        """Return which run once nobody can get any further."""
        for _ in range(10 * len(self.tasks)):
            await asyncio.sleep(0)
        return self.running

    async def end_all(self) -> None:
        """End all that are left."""
        for event in self.ends:
            event.set()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_batches_go_side_by_side_as_far_as_there_is_room() -> None:
    """Small ones fill the room; who comes when it is full waits until enough have gone."""
    batches = Batches(Room(10), 4, 3, 3, 3)
    assert await batches.settle() == {0, 1, 2}
    assert await batches.end(1) == {0, 2, 3}
    await batches.end_all()


async def test_two_of_any_size_have_room() -> None:
    """However large, one decides while another waits for the database; a batch without records needs no room."""
    batches = Batches(Room(10), 50, 50, 50, 0)
    assert await batches.settle() == {0, 1}
    assert await batches.end(0) == {1, 2, 3}
    await batches.end_all()


async def test_a_large_batch_is_not_overtaken_for_ever() -> None:
    """Who came first goes first, even where a later one would have fitted."""
    batches = Batches(Room(10), 5, 3, 5, 2)
    assert await batches.settle() == {0, 1}
    assert await batches.end(0) == {1, 2, 3}
    await batches.end_all()


async def test_who_is_cancelled_or_fails_leaves_no_gap() -> None:
    """A batch that is aborted while it waits, or while it runs, gives its room back."""
    room = Room(10)
    batches = Batches(room, 5, 5, 5)
    assert await batches.settle() == {0, 1}
    for number in (2, 0):
        batches.tasks[number].cancel()
    await asyncio.gather(*batches.tasks[0:3:2], return_exceptions=True)
    later = Batches(room, 5, 5)
    assert await later.settle() == {0}
    assert await batches.end(1) == {0}
    assert await later.settle() == {0, 1}
    await later.end_all()
