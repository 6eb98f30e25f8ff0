"""Which event log a process uses."""

from datetime import timedelta
from pathlib import Path

from services.contracts.errors import InvalidSettings
from services.contracts.topics import Topic, load_topics, partitions_of
from services.runtime.clock import Clock
from services.runtime.eventlog.embedded import EmbeddedEventLog
from services.runtime.eventlog.embedded_watch import WatchedEventLog
from services.runtime.eventlog.port import EventLog
from services.runtime.settings import LogSettings


def embedded_file(data: Path) -> Path:
    """Return where the embedded log of a data folder lies."""
    return data / "log.db"


def open_log(settings: LogSettings, data: Path, clock: Clock, *, read_only: bool = False) -> EventLog:
    """Return the log that the settings name, not yet started.

    The embedded one lies in `<data>/log.db` and makes the registry's topics itself; `read_only` looks into it while another process
    owns it (of no meaning on Kafka). On Kafka `povod topics apply` makes the topics. Raises `InvalidSettings` where Kafka is wanted
    and its extra is not installed.
    """
    if settings.kind == "kafka":
        return _kafka(settings, clock)
    if read_only:
        return WatchedEventLog(embedded_file(data), clock)
    return EmbeddedEventLog(embedded_file(data), partitions_of(load_topics()), clock, ack_timeout=settings.ack_timeout)


def _kafka(settings: LogSettings, clock: Clock) -> EventLog:
    try:
        from services.runtime.eventlog.kafka import KafkaEventLog
    except ModuleNotFoundError as error:
        raise InvalidSettings("[log] kind = 'kafka' needs aiokafka: pip install 'povod[kafka]'") from error
    topic_settings = {topic.name: _kafka_settings(topic) for topic in load_topics()}
    return KafkaEventLog(settings, clock, fetch_wait=settings.fetch_wait, topic_settings=topic_settings)


def _kafka_settings(topic: Topic) -> dict[str, str]:
    return {"retention.ms": str(topic.retention // timedelta(milliseconds=1)), "cleanup.policy": "delete"}
