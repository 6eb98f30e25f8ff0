"""An event under the id of another: the first counts, and the conflict is told."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.runtime.database import Database
from tests.builders import NOON
from tests.rules_desk import Desk, metric, opened_desk
from tests.rules_shop_day import LATER, cart, registered

INPUTS = "povod_rules_inputs_total"


@pytest.fixture
async def desk(tmp_path: Path, database: Database) -> AsyncIterator[Desk]:
    """Return a desk on each database."""
    async with opened_desk(tmp_path, database, NOON + LATER) as found:
        yield found


@pytest.mark.parametrize("batch", [1, 100])
async def test_conflicts_are_told_from_repeats(desk: Desk, batch: int) -> None:
    """Three arrivals under one id: the first is decided, its repeat is a duplicate, and the one with other data a conflict too."""
    first = cart("c0", "s1", event_id="twice")
    again = cart("c0", "s1", event_id="twice", after=timedelta(minutes=1))
    other = cart("c0", "s2", event_id="twice")
    await desk.append([registered("c0"), first, again, other])
    async with desk.running(batch=batch) as service:
        await desk.drained()
    assert [row.input_id for row in await desk.history() if row.kind == "event"] == ["rc0", "twice"]
    assert (metric(service._metrics, INPUTS, kind="duplicate"), metric(service._metrics, INPUTS, kind="conflicting_duplicate")) == (2, 1)
