"""Metrics out of one list."""

import re

import pytest
from prometheus_client import CollectorRegistry

from services.runtime.telemetry import metrics as module
from services.runtime.telemetry.metrics import (
    INGEST_EVENTS,
    INGEST_IN_FLIGHT,
    METRICS,
    PARTITION_LAG,
    RULES_BATCH_SECONDS,
    CounterOf,
    GaugeOf,
    HistogramOf,
    Metrics,
    process_metrics,
)


@pytest.fixture
def metrics() -> Metrics:
    """Return metrics with a registry of their own."""
    return Metrics(CollectorRegistry())


def test_every_definition_is_in_the_list() -> None:
    """No definition stands beside the list, and no name twice."""
    defined = [each for each in vars(module).values() if isinstance(each, (CounterOf, GaugeOf, HistogramOf))]
    assert defined == list(METRICS)
    assert len({each.name for each in METRICS}) == len(METRICS)


def test_names_follow_prometheus() -> None:
    """Names begin with povod_, counters end in _total, and each says what it is."""
    for each in METRICS:
        assert re.fullmatch(r"povod_[a-z_]+", each.name)
        assert each.name.endswith("_total") is isinstance(each, CounterOf)
        assert each.help


def test_counts_by_labels(metrics: Metrics) -> None:
    """A counter adds up per set of labels."""
    metrics.add(INGEST_EVENTS, 3, key="shop", door="events", verdict="accepted")
    metrics.add(INGEST_EVENTS, key="shop", door="events", verdict="accepted")
    metrics.add(INGEST_EVENTS, key="shop", door="events", verdict="rejected")
    assert metrics.value("povod_ingest_events_total", key="shop", door="events", verdict="accepted") == 4
    assert metrics.value("povod_ingest_events_total", key="shop", door="events", verdict="rejected") == 1


def test_gauges_stand_and_are_forgotten(metrics: Metrics) -> None:
    """A gauge shows its last value until it is forgotten."""
    metrics.set(INGEST_IN_FLIGHT, 10)
    metrics.set(INGEST_IN_FLIGHT, 7)
    metrics.set(PARTITION_LAG, 5, topic="povod.events", partition="1")
    assert metrics.value("povod_ingest_in_flight_bytes") == 7
    metrics.forget(PARTITION_LAG, topic="povod.events", partition="1")
    assert metrics.value("povod_partition_lag_records", topic="povod.events", partition="1") is None
    metrics.forget(PARTITION_LAG, topic="povod.events", partition="1")


def test_histograms_count_and_sum(metrics: Metrics) -> None:
    """A histogram keeps count and sum."""
    metrics.observe(RULES_BATCH_SECONDS, 0.5)
    metrics.observe(RULES_BATCH_SECONDS, 0.25)
    assert (metrics.value("povod_rules_batch_seconds_count"), metrics.value("povod_rules_batch_seconds_sum")) == (2, 0.75)


def test_wrong_labels_are_an_error(metrics: Metrics) -> None:
    """A label that the definition does not name is a mistake of the code."""
    with pytest.raises(ValueError, match="label"):
        metrics.add(INGEST_EVENTS, customer="ann")


def test_two_processes_in_one_share_nothing(metrics: Metrics) -> None:
    """Each `Metrics` has its own registry; there is no global one."""
    metrics.add(INGEST_EVENTS, key="shop", door="events", verdict="accepted")
    assert process_metrics().value("povod_ingest_events_total", key="shop", door="events", verdict="accepted") is None


def test_renders_the_exposition_text() -> None:
    """What Prometheus reads holds every metric with its help, and the process's own."""
    text = process_metrics().render().decode()
    assert "# HELP povod_rules_batch_seconds Time of one gather - decide - apply transaction" in text
    assert "process_resident_memory_bytes" in text
