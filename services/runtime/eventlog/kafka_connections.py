"""How we talk to Kafka: every setting of aiokafka's clients in one place, each with its reason."""

from dataclasses import dataclass
from datetime import timedelta

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

_BATCH_BYTES = 262_144
_FETCH_BYTES = 1_048_576
"""A partition's share of one fetch: as large as the largest record (`records.MAX_RECORD`) needs, and what bounds memory."""


@dataclass(frozen=True)
class Connections:
    """Makes the clients of one cluster.

    `request_timeout` is how long a silent connection is believed in; after it aiokafka closes it and connects anew.
    """

    bootstrap: str
    session_timeout: timedelta
    request_timeout: timedelta = timedelta(seconds=4)
    fetch_wait: timedelta = timedelta(milliseconds=100)
    instance: str | None = None
    """Static membership (KIP-345): a member that comes back under its name within its session gets its partitions back at once."""

    def producer(self) -> AIOKafkaProducer:
        """Return a producer: idempotent, every in-sync replica acknowledges; the linger is ours (`KafkaAppender`)."""
        return AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            client_id="povod",
            acks="all",
            enable_idempotence=True,
            max_batch_size=_BATCH_BYTES,
            request_timeout_ms=_millis(self.request_timeout),
        )

    def member(self, group: str) -> AIOKafkaConsumer:
        """Return a member of a group: positions are ours, so it never commits by itself and never resets an offset."""
        return AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            client_id="povod",
            group_id=group,
            group_instance_id=self.instance,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            partition_assignment_strategy=(_sticky_assignor(),),
            session_timeout_ms=_millis(self.session_timeout),
            heartbeat_interval_ms=_millis(min(self.session_timeout / 3, timedelta(seconds=3))),
            rebalance_timeout_ms=_millis(max(self.session_timeout, timedelta(seconds=30))),
            fetch_max_wait_ms=_millis(self.fetch_wait),
            max_partition_fetch_bytes=_FETCH_BYTES,
        )

    def lookup(self) -> AIOKafkaConsumer:
        """Return a consumer that reads nothing and is asked where partitions begin and end.

        On a connection of its own: a broker answers a connection's requests in order, and a fetch may wait for `fetch_wait`.
        """
        return AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            client_id="povod",
            isolation_level="read_committed",
            request_timeout_ms=_millis(self.request_timeout),
        )

    def admin(self) -> AIOKafkaAdminClient:
        """Return a client for topics."""
        return AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, client_id="povod", request_timeout_ms=_millis(self.request_timeout))


def _sticky_assignor() -> type[StickyPartitionAssignor]:
    """Return a class of its own: aiokafka keeps a member's last assignment on the class, so two members of one process would share it."""
    return type("OwnStickyAssignor", (StickyPartitionAssignor,), {})


def _millis(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)
