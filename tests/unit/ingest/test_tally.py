"""What became of events, counted."""

from services.contracts.catalogue import Catalogue
from services.contracts.normalise import Reception
from services.ingest.judge import Judge
from services.ingest.tally import Tally
from services.runtime.telemetry.metrics import process_metrics
from tests.unit.ingest.test_recent import NOW

SHOP = Reception("shop", trusted=True, received_at=NOW, new_id=lambda: "new-id")


def test_events_are_counted_by_key_door_and_reason() -> None:
    """Each verdict is counted under key and door, and each reason of a rejection beside."""
    metrics = process_metrics()
    good = {"type": "page.viewed", "customer": "42", "id": "a"}
    judged = Judge(Catalogue({}), 65_536).judge([good, good, {"type": "x"}, {"type": "y"}, 5], SHOP)
    Tally(metrics).count("shop", "segment", judged)
    verdicts = ("accepted", "duplicate_in_request", "rejected")
    assert [metrics.value("povod_ingest_events_total", key="shop", door="segment", verdict=each) for each in verdicts] == [1, 1, 3]
    codes = ("missing_customer", "not_an_object", "schema")
    assert [metrics.value("povod_ingest_rejects_total", key="shop", door="segment", code=each) for each in codes] == [2, 1, None]


def test_refused_requests_are_counted_by_reason() -> None:
    """A request refused as a whole is counted, under no key where that is not known."""
    metrics = process_metrics()
    Tally(metrics).count_refused("", "segment", "unauthorized")
    assert metrics.value("povod_ingest_refused_total", key="", door="segment", code="unauthorized") == 1
