"""How much one rendering may do: steps (loop turns, calls, filters) and bytes of text made on the way.

A sandbox keeps templates from reaching the process; it does not keep them from filling its memory or its time. Every operation that can
grow a value or repeat work spends from here first, so that work is bounded before it is done, not measured afterwards.
"""

from services.contracts.errors import RenderFailed

OUTPUT_LIMIT = 256 * 1024
"""Characters of one rendered part."""
TEXT_LIMIT = 64 * 1024
"""Characters of any one value."""
_STEPS = 20_000
_WORK = 8 * 1024 * 1024
_LARGEST_NUMBER = 10**30
_HEAVIEST = 5_000


class Budget:
    """What is left for one rendering. Raises `RenderFailed` (`code="template_too_costly"`) when it is used up."""

    def __init__(self) -> None:
        self._steps = _STEPS
        self._work = _WORK

    def step(self, work: int = 0) -> None:
        """Spend one step and `work` characters."""
        self._steps -= 1
        self._work -= work
        if self._steps < 0 or self._work < 0:
            raise RenderFailed("the template does too much: shorten its loops", code="template_too_costly")

    def grow(self, size: int) -> None:
        """Spend on a value of that many characters or items, before it is made."""
        if size > TEXT_LIMIT:
            raise RenderFailed(f"the template makes a value of {size} characters or items", code="template_too_large")
        self.step(size)


def check_number(value: object) -> None:
    """Refuse numbers whose further use could take unbounded time."""
    if isinstance(value, int) and abs(value) > _LARGEST_NUMBER:
        raise RenderFailed("the template makes a number beyond 10^30", code="template_too_large")


def weight_of(value: object, limit: int = _HEAVIEST) -> int:
    """Return how many values a nested one holds, counting no further than `limit`.

    Lists that hold the same list twice, level upon level, are cheap to make and endless to print or compare.
    """
    if not isinstance(value, (list, tuple, dict)):
        return 1
    total = 1
    for each in value.values() if isinstance(value, dict) else value:
        total += weight_of(each, limit - total)
        if total >= limit:
            raise RenderFailed(f"the template makes a list of more than {_HEAVIEST} values", code="template_too_large")
    return total
