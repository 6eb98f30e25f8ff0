"""What aiokafka's background task leaves for a reader's `poll` of rebalances.

aiokafka calls its rebalance listener from that task; the port promises ours inside `poll`. So the background only leaves notes and, for a
while, lets a rebalance wait until the running `poll` or the next one has dealt with them. Whoever waits too long is fenced by the
cursor's epoch, as every zombie is.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from aiokafka.abc import ConsumerRebalanceListener

from services.runtime.eventlog.kafka_records import ours
from services.runtime.eventlog.port import TopicPartition


class RebalanceNotes(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """What was taken and what was given, until `poll` deals with it."""

    def __init__(self, patience: float, consumer: Any = None) -> None:
        self.gained: frozenset[TopicPartition] = frozenset()
        self.is_revoking = False
        self.changed = asyncio.Event()
        self._patience = patience
        self._consumer = consumer
        self._has_any = False
        self._revoked = asyncio.Event()

    async def on_partitions_revoked(self, revoked: Iterable[object]) -> None:  # noqa: ARG002 - all of it, always: rebalances are eager
        """Ask for everything back and wait for it, within reason."""
        self.gained = frozenset()
        if self._has_any:
            self.is_revoking = True
            self._revoked.clear()
            self.changed.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._revoked.wait(), self._patience)

    def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """Hold the new partitions back until `poll` has found out where they begin."""
        self._consumer.pause(*assigned)
        self.gained = frozenset(ours(at) for at in assigned)
        self._has_any = bool(self.gained)
        self.changed.set()

    def revoked(self) -> None:
        """Let the rebalance go on."""
        self.is_revoking = False
        self._has_any = bool(self.gained)
        self._revoked.set()

    def dismiss(self) -> None:
        """Wait for nobody any more."""
        self.gained = frozenset()
        self._has_any = False
        self._revoked.set()
