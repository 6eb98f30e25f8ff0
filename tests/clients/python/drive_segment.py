"""Drive segment-analytics-python."""

from typing import Any

from segment.analytics.client import Client

from tests.clients.python.segment_like import SegmentLike, give_up
from tests.clients.python.story import Fail, main


def open_client(scenario: dict[str, Any], fail: Fail) -> SegmentLike:
    """Open a client as its documentation does."""
    return SegmentLike(Client(scenario["key"], host=scenario["host"], on_error=give_up(fail)))


if __name__ == "__main__":
    main(open_client)
