"""Look into JSON that may be anything, without asking each time."""

from collections.abc import Mapping
from typing import Any


def object_of(value: Any) -> dict[str, Any]:
    """Return the value where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text_of(value: Any) -> str:
    """Return the value where it is text, else an empty one."""
    return value if isinstance(value, str) else ""


def stated(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what says something: no nulls, no empty texts, objects or arrays."""
    return {name: value for name, value in values.items() if value is not None and value not in ("", {}, [])}
