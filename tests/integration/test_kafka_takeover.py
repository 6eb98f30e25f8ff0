"""What becomes of partitions whose take-over does not come to its end."""

from collections.abc import Mapping, Sequence

import pytest

from services.contracts.errors import LogUnavailable
from services.runtime.clock import SystemClock
from services.runtime.eventlog.kafka import KafkaEventLog
from services.runtime.eventlog.port import TopicPartition
from services.runtime.settings import LogSettings
from tests.kafka_proxy import KafkaProxy
from tests.laws.log_readers import Starts, drain, owned, record, started, values

pytestmark = pytest.mark.kafka


class _Cutting(Starts):
    """A listener during whose first assignment the broker goes dumb."""

    def __init__(self, proxy: KafkaProxy) -> None:
        super().__init__()
        self._proxy = proxy
        self.told: list[str] = []

    async def on_assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        if not self.told:
            self._proxy.swallow()
        self.told.append("assigned")
        return await super().on_assigned(partitions)

    async def on_revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.told.append("revoked")
        await super().on_revoked(partitions)


async def test_what_was_taken_is_given_back_where_the_log_can_not_be_asked(kafka_bootstrap: str, topic: str, group: str) -> None:
    """The broker goes dumb between the listener's taking and the look at the log's bounds: the listener is told, and asked again later."""
    proxy = KafkaProxy(kafka_bootstrap)
    await proxy.start()
    log = KafkaEventLog(LogSettings(kind="kafka", bootstrap=proxy.bootstrap), SystemClock())
    await log.start()
    try:
        await log.ensure_topics({topic: 2})
        await log.append(topic, [record("a", "waiting")])
        listener = _Cutting(proxy)
        reader = await started(log, group, topic, listener)
        with pytest.raises(LogUnavailable):
            await owned(reader, listener, 3)  # more than there are: it goes on until it fails
        assert listener.told == ["assigned", "revoked"]
        assert listener.revoked == listener.assigned == [TopicPartition(topic, 0), TopicPartition(topic, 1)]
        proxy.release()
        assert values(await drain(reader, 1)) == ["waiting"]
        assert listener.told[2] == "assigned"
        await reader.close()
    finally:
        proxy.release()
        await log.close()
        await proxy.go_away()
