"""Metrics: one typed list of what is counted, and a `Metrics` that counts it into its own registry.

The list is the contract with dashboards: a name never changes its meaning. Labels take few values (never a customer or a message).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from prometheus_client.process_collector import ProcessCollector

from services.runtime.telemetry.tallies import Tallies

CONTENT_TYPE = CONTENT_TYPE_LATEST
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)


@dataclass(frozen=True)
class CounterOf:
    """Something that only grows."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class GaugeOf:
    """Something that stands at a value now."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class HistogramOf:
    """How something is spread; `buckets` are upper bounds, in seconds unless the name says otherwise."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = _FAST


Definition = CounterOf | GaugeOf | HistogramOf

INGEST_EVENTS = CounterOf(
    "povod_ingest_events_total", "Events posted, by write key, door and what became of them", ("key", "door", "verdict")
)
INGEST_REJECTS = CounterOf("povod_ingest_rejects_total", "Events rejected, by write key, door and reason", ("key", "door", "code"))
INGEST_REFUSED = CounterOf(
    "povod_ingest_refused_total", "Requests refused as a whole, by write key (empty: not known), door and reason", ("key", "door", "code")
)
INGEST_IN_FLIGHT = GaugeOf("povod_ingest_in_flight_bytes", "Bytes of requests not yet answered")
INGEST_HOOKS = CounterOf("povod_ingest_hooks_total", "Callbacks of providers, by hook and what became of them", ("hook", "result"))
INGEST_RETURNS = CounterOf(
    "povod_ingest_returns_total", "Events of customers who came back (clicks, opens, answers), by what became of them", ("type", "result")
)
INGEST_SECONDS = HistogramOf("povod_ingest_request_seconds", "Time from a request's first byte to its answer", ("status",))
RULES_INPUTS = CounterOf("povod_rules_inputs_total", "Inputs decided: events, timers, duplicates", ("kind",))
RULES_DECISIONS = CounterOf("povod_rules_decisions_total", "Decisions, by verdict and reason", ("verdict", "reason"))
RULES_BATCH_SECONDS = HistogramOf("povod_rules_batch_seconds", "Time of one gather - decide - apply transaction")
RULES_BATCH_SIZE = HistogramOf("povod_rules_batch_inputs", "Inputs in one batch", (), (1, 10, 50, 100, 250, 500, 1_000, 2_500, 10_000))
FENCED = CounterOf("povod_fenced_total", "Transactions that failed because another owner had taken the partition", ("topic",))
PARTITION_LAG = GaugeOf("povod_partition_lag_records", "Records between the cursor and the log's end", ("topic", "partition"))
PARTITIONS_OWNED = GaugeOf("povod_partitions_owned", "Partitions this process owns", ("topic",))
OUTBOX_DEPTH = GaugeOf("povod_outbox_rows", "Rows that wait to be published", ("outbox",))
OUTBOX_PUBLISHED = CounterOf("povod_outbox_published_total", "Rows published and acknowledged", ("outbox",))
DEAD_LETTERS = CounterOf("povod_dead_letters_total", "Records given up, by topic and reason", ("topic", "reason"))
DISPATCH_CLAIMS = CounterOf(
    "povod_dispatch_claims_total", "Messages claimed for sending, and those refused at the claim", ("channel", "result")
)
DISPATCH_ATTEMPTS = CounterOf(
    "povod_dispatch_attempts_total", "Attempts to hand a message over, by the provider's answer", ("channel", "answer")
)
DISPATCH_SECONDS = HistogramOf("povod_dispatch_attempt_seconds", "Time of one attempt", ("channel",))
DISPATCH_RECEIPTS = CounterOf(
    "povod_dispatch_receipts_total", "Callbacks of providers read, by hook and what they meant", ("hook", "meaning")
)
EVENT_LATENCY = HistogramOf("povod_event_latency_seconds", "From an event's receipt to its decision", (), _SLOW)
DELIVERY_LATENCY = HistogramOf("povod_delivery_latency_seconds", "From a decision to the hand-over to the provider", ("channel",), _SLOW)
RULESET_RELOADS = CounterOf("povod_ruleset_reloads_total", "Rule sets taken up or refused", ("result",))

METRICS: tuple[Definition, ...] = (
    INGEST_EVENTS,
    INGEST_REJECTS,
    INGEST_REFUSED,
    INGEST_IN_FLIGHT,
    INGEST_HOOKS,
    INGEST_RETURNS,
    INGEST_SECONDS,
    RULES_INPUTS,
    RULES_DECISIONS,
    RULES_BATCH_SECONDS,
    RULES_BATCH_SIZE,
    FENCED,
    PARTITION_LAG,
    PARTITIONS_OWNED,
    OUTBOX_DEPTH,
    OUTBOX_PUBLISHED,
    DEAD_LETTERS,
    DISPATCH_CLAIMS,
    DISPATCH_ATTEMPTS,
    DISPATCH_SECONDS,
    DISPATCH_RECEIPTS,
    EVENT_LATENCY,
    DELIVERY_LATENCY,
    RULESET_RELOADS,
)


class Metrics:
    """The counts of one process. Safe between tasks, not between threads; a call costs less than a microsecond."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register every definition of `METRICS`; a registry serves one `Metrics` only."""
        self._registry = registry
        self._gauges: dict[Definition, Gauge] = {}
        self._tallies: dict[Definition, Tallies] = {}
        self._children: dict[tuple[object, ...], Any] = {}
        for each in METRICS:
            self._register(each)

    def add(self, definition: CounterOf, amount: float = 1, **labels: str) -> None:
        """Count `amount` more; raises `ValueError` on labels other than the definition's."""
        self._child(definition, labels).add(amount)

    def counter(self, definition: CounterOf, **labels: str) -> Callable[[float], None]:
        """Return what counts under these labels, for where even looking it up is too much. It starts at zero now."""
        counting: Callable[[float], None] = self._child(definition, labels).add
        return counting

    def histogram(self, definition: HistogramOf, **labels: str) -> Callable[[float], None]:
        """Return what notes a value under these labels, as `counter` does."""
        noting: Callable[[float], None] = self._child(definition, labels).note
        return noting

    def set(self, definition: GaugeOf, value: float, **labels: str) -> None:
        """Say where a gauge stands."""
        self._child(definition, labels).set(value)

    def observe(self, definition: HistogramOf, value: float, **labels: str) -> None:
        """Note one value."""
        self._child(definition, labels).note(value)

    def forget(self, definition: GaugeOf, **labels: str) -> None:
        """Drop a gauge's value (a partition that went to another process); harmless where it was never set."""
        self._gauges[definition].remove(*(labels[name] for name in definition.labels))
        self._children.clear()

    def value(self, sample: str, **labels: str) -> float | None:
        """Return one sample's value by its full name (`..._total`, `..._count`), None where it was never touched."""
        return self._registry.get_sample_value(sample, labels)

    def render(self) -> bytes:
        """Return the exposition text (content type `CONTENT_TYPE`)."""
        return generate_latest(self._registry)

    def _register(self, definition: Definition) -> None:
        name, documentation, labels = definition.name, definition.help, definition.labels
        if isinstance(definition, GaugeOf):
            self._gauges[definition] = Gauge(name, documentation, labels, registry=self._registry)
            return
        self._tallies[definition] = Tallies(
            name, documentation, labels, definition.buckets if isinstance(definition, HistogramOf) else None
        )
        self._registry.register(self._tallies[definition])
        if not labels:
            self._child(definition, {})  # what has no labels is there from the start, at zero

    def _child(self, definition: Definition, labels: dict[str, str]) -> Any:
        key = (definition.name, *labels.items())
        if (child := self._children.get(key)) is None:
            if labels.keys() != set(definition.labels):
                raise ValueError(f"the labels of {definition.name} are {', '.join(definition.labels) or 'none'}, not {', '.join(labels)}")
            child = self._children[key] = self._new_child(definition, labels)
        return child

    def _new_child(self, definition: Definition, labels: dict[str, str]) -> Any:
        if isinstance(definition, GaugeOf):
            return self._gauges[definition].labels(**labels) if labels else self._gauges[definition]
        values = tuple(labels[name] for name in definition.labels)
        tallies = self._tallies[definition]
        return tallies.spread(values) if isinstance(definition, HistogramOf) else tallies.count(values)


def process_metrics() -> Metrics:
    """Return the metrics of a process: a new registry with its memory, processor time and open files in it too."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return Metrics(registry)
