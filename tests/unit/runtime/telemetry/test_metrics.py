"""Metrics out of one list."""

import re

import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.parser import text_string_to_metric_families

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


def _read(metrics: Metrics) -> list[Metric]:
    """Read the exposition as Prometheus does."""
    return list(text_string_to_metric_families(metrics.render().decode()))


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


def test_buckets_are_cumulative(metrics: Metrics) -> None:
    """Each bucket counts all values up to its end, that included; the last one counts all."""
    for value in (0.001, 0.0011, 0.4, 0.5, 99.0):
        metrics.observe(RULES_BATCH_SECONDS, value)
    (found,) = [family for family in _read(metrics) if family.name == RULES_BATCH_SECONDS.name]
    buckets = {sample.labels["le"]: sample.value for sample in found.samples if sample.name.endswith("_bucket")}
    assert [float(end) for end in buckets] == [*RULES_BATCH_SECONDS.buckets, float("inf")]
    assert (buckets["0.001"], buckets["0.0025"], buckets["0.25"], buckets["0.5"], buckets["10.0"], buckets["+Inf"]) == (1, 2, 2, 4, 4, 5)


def test_what_has_no_labels_is_there_from_the_start(metrics: Metrics) -> None:
    """A dashboard sees a zero, not a gap; what has labels begins with the first of them."""
    families = {family.name: family for family in _read(metrics)}
    assert set(families) == {each.name.removesuffix("_total") for each in METRICS}
    for each in METRICS:
        samples = families[each.name.removesuffix("_total")].samples
        assert bool(samples) is not bool(each.labels)
        assert {sample.value for sample in samples} <= {0.0}


def test_a_counter_only_grows(metrics: Metrics) -> None:
    """Counting backwards is a mistake of the code."""
    with pytest.raises(ValueError, match="only grows"):
        metrics.add(INGEST_EVENTS, -1, key="shop", door="events", verdict="accepted")


def test_the_order_of_labels_does_not_matter(metrics: Metrics) -> None:
    """However they are named, it is one count."""
    metrics.add(INGEST_EVENTS, key="shop", door="events", verdict="accepted")
    metrics.counter(INGEST_EVENTS, verdict="accepted", door="events", key="shop")(2)
    assert metrics.value("povod_ingest_events_total", key="shop", door="events", verdict="accepted") == 3


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
