"""Trace context as the W3C wants it."""

import pytest

from services.contracts.trace import TraceContext, parse_traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{SPAN}-01"


def test_reads_a_valid_header() -> None:
    """The example of the standard gives its parts."""
    assert parse_traceparent(VALID) == TraceContext(TRACE, SPAN, "01")


def test_a_later_version_may_append_fields() -> None:
    """Version 01 with a further field is read by its first four."""
    assert parse_traceparent(f"01-{TRACE}-{SPAN}-00-extra") == TraceContext(TRACE, SPAN, "00")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "garbage",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-extra",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        VALID + "\n",
        f"01-{TRACE}-{SPAN}-01-" + "x" * 1000,
    ],
)
def test_an_invalid_header_is_none(text: str | None) -> None:
    """Wrong lengths, letters, versions and zero ids are no context."""
    assert parse_traceparent(text) is None
