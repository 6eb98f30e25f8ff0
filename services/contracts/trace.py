"""W3C Trace Context: one `traceparent` from the HTTP request to the delivery (https://www.w3.org/TR/trace-context/, level 1).

Povod carries the caller's context on as it came; it keeps no spans of its own and begins no trace.
"""

import re
from typing import NamedTuple

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_INVALID_VERSION = "ff"
_LONGEST = 512


class TraceContext(NamedTuple):
    """Where in which trace we are: ids in lower-case hex, flags as two hex digits (`01`: sampled)."""

    trace_id: str
    span_id: str
    flags: str = "01"


def parse_traceparent(text: str | None) -> TraceContext | None:
    """Return the context of a header, or None where it is missing or invalid (the standard wants it dropped then).

    Later versions may append fields; version `00` may not.
    """
    match = _TRACEPARENT.fullmatch(text) if text is not None and len(text) <= _LONGEST else None
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    is_invalid = version == _INVALID_VERSION or (version == "00" and rest is not None) or not (int(trace_id, 16) and int(span_id, 16))
    return None if is_invalid else TraceContext(trace_id, span_id, flags)
