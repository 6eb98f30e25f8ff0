"""What compiled expressions call: operations that never raise and never grow without bound, and the fixed list of functions."""

import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

_MAX_NUMBER = 2**63
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_UNFIT = (TypeError, ArithmeticError, ValueError, RecursionError)


def attribute(value: Any, name: str) -> Any:
    """Return a field of an object, `None` where it is missing or no object."""
    return value.get(name) if isinstance(value, Mapping) else None


def item(value: Any, index: Any) -> Any:
    """Return a list's item by position or an object's by name, `None` where there is none."""
    try:
        return value[index] if isinstance(value, (list, tuple, dict)) else None
    except (LookupError, TypeError):
        return None


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and -_MAX_NUMBER <= value <= _MAX_NUMBER


def _arithmetic(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def apply(left: Any, right: Any) -> Any:
        if not (_number(left) and _number(right)):
            return None
        try:
            result = operation(left, right)
        except _UNFIT:
            return None
        return result if _number(result) else None

    return apply


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    return _add_numbers(left, right)


_add_numbers = _arithmetic(operator.add)


def _ordering(operation: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def apply(left: Any, right: Any) -> bool:
        try:
            return bool(operation(left, right))
        except _UNFIT:
            return False

    return apply


def _contains(needle: Any, holder: Any) -> bool:
    try:
        return needle in holder
    except _UNFIT:
        return False


def _not_contains(needle: Any, holder: Any) -> bool:
    try:
        return needle not in holder
    except _UNFIT:
        return False


def _negative(value: Any) -> Any:
    return -value if _number(value) else None


OPERATIONS: dict[str, Callable[..., Any]] = {
    "attribute": attribute,
    "item": item,
    "Add": _add,
    "Sub": _arithmetic(operator.sub),
    "Mult": _arithmetic(operator.mul),
    "Div": _arithmetic(operator.truediv),
    "Mod": _arithmetic(operator.mod),
    "Lt": _ordering(operator.lt),
    "LtE": _ordering(operator.le),
    "Gt": _ordering(operator.gt),
    "GtE": _ordering(operator.ge),
    "In": _contains,
    "NotIn": _not_contains,
    "USub": _negative,
}
"""By the name of the Python syntax node that they stand for."""


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, (str, list, tuple, dict)) else None


def _text(method: Callable[[str], str]) -> Callable[[Any], str | None]:
    return lambda value: method(value) if isinstance(value, str) else None


def _extreme(choose: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    def apply(*values: Any) -> Any:
        given = list(values[0]) if len(values) == 1 and isinstance(values[0], (list, tuple)) else list(values)
        try:
            return choose(given)
        except _UNFIT:
            return None

    return apply


def _absolute(value: Any) -> Any:
    return abs(value) if _number(value) else None


def _round(value: Any, digits: Any = 0) -> Any:
    if not _number(value) or not isinstance(digits, int) or abs(digits) > 12:
        return None
    try:
        return round(value, digits) if digits else round(value)
    except _UNFIT:
        return None


def _has(value: Any) -> bool:
    return value is not None


def _starts_with(value: Any, prefix: Any) -> bool:
    return isinstance(value, str) and isinstance(prefix, str) and value.startswith(prefix)


def _ends_with(value: Any, suffix: Any) -> bool:
    return isinstance(value, str) and isinstance(suffix, str) and value.endswith(suffix)


def moment_of(value: Any) -> datetime | None:
    """Return the aware UTC time that a value means: a time, or ISO 8601 text (UTC where it names no zone); `None` for anything else."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
        if not isinstance(found, datetime):
            return None
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _since(unit: timedelta) -> Callable[[datetime, Any], float | None]:
    def apply(now: datetime, value: Any) -> float | None:
        moment = moment_of(value)
        return None if moment is None else (now - moment) / unit

    return apply


FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "abs": (_absolute, 1, 1),
    "ends_with": (_ends_with, 2, 2),
    "has": (_has, 1, 1),
    "len": (_length, 1, 1),
    "lower": (_text(str.lower), 1, 1),
    "max": (_extreme(max), 1, 16),
    "min": (_extreme(min), 1, 16),
    "round": (_round, 1, 2),
    "starts_with": (_starts_with, 2, 2),
    "upper": (_text(str.upper), 1, 1),
    "days_since": (_since(_DAY), 1, 1),
    "hours_since": (_since(_HOUR), 1, 1),
}
"""Name, function, fewest and most arguments. All give `None` (the questions: `False`) for values that they are not made for."""
CLOCKED = frozenset({"days_since", "hours_since"})
"""Functions that are given `now` as their first argument."""
