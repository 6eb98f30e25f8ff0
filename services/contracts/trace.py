"""W3C Trace Context: one `traceparent` from the HTTP request to the delivery (https://www.w3.org/TR/trace-context/, level 1).

Povod carries the context and makes a child at each hop; it keeps no spans itself. Exporters may come later.
"""

import re
import secrets
from typing import NamedTuple

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_INVALID_VERSION = "ff"
_LONGEST = 512


class TraceContext(NamedTuple):
    """Where in which trace we are: ids in lower-case hex, flags as two hex digits (`01`: sampled)."""

    trace_id: str
    span_id: str
    flags: str = "01"

    def child(self) -> "TraceContext":
        """Return the context of a new step of the same trace."""
        return self._replace(span_id=_new_id(8))

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def new_trace() -> TraceContext:
    """Begin a trace."""
    return TraceContext(_new_id(16), _new_id(8))


def parse_traceparent(text: str | None) -> TraceContext | None:
    """Return the context of a header, or None where it is missing or invalid (then the standard wants a new trace).

    Later versions may append fields; version `00` may not.
    """
    match = _TRACEPARENT.fullmatch(text) if text is not None and len(text) <= _LONGEST else None
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    is_invalid = version == _INVALID_VERSION or (version == "00" and rest is not None) or not (int(trace_id, 16) and int(span_id, 16))
    return None if is_invalid else TraceContext(trace_id, span_id, flags)


def child_of(text: str | None) -> str:
    """Return the `traceparent` of a step caused by `text`; a new trace where there is none that can be read."""
    parent = parse_traceparent(text)
    return str(parent.child() if parent else new_trace())


def _new_id(size: int) -> str:
    while not int(found := secrets.token_hex(size), 16):
        continue
    return found
