"""One trace from the request that posts an event to the mail that it leads to."""

import asyncio
import email
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from services.contracts.codec import decode_event
from services.contracts.resources import resource
from services.runtime.clock import FrozenClock
from services.runtime.settings import IngestSettings, SecuritySettings, Settings, TelemetrySettings
from tests.live import Live, live, post

RULES = Path(__file__).parents[1] / "fixtures" / "rulesets" / "abandoned"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def outcomes(running: Live) -> list[tuple[str, str | None]]:
    """Return type and trace of every outcome that the rules have been told."""
    async with running.chassis.database.reading() as connection:
        rows = await connection.execute(text("SELECT payload FROM history WHERE type LIKE 'message.%'"))
        events = [decode_event(row.payload.encode()) for row in rows]
    return [(event.type, event.traceparent) for event in events]


async def mails(folder: Path) -> list[str | None]:
    """Return the trace of every mail."""
    files = await asyncio.to_thread(lambda: sorted(folder.glob("*.eml")))
    return [email.message_from_bytes(await asyncio.to_thread(file.read_bytes))["X-Traceparent"] for file in files]


@pytest.mark.timeout(60)
async def test_a_requests_trace_arrives_in_the_mail(tmp_path: Path) -> None:
    """The `traceparent` of `POST /v1/events` stands in the mail that the event led to an hour later, and in its outcome."""
    settings = Settings(
        data=tmp_path, ingest=IngestSettings(port=0), telemetry=TelemetrySettings(log_level="error"),
        security=SecuritySettings(link_secret=SecretStr("0123456789abcdef0123456789abcdef")),
    )  # fmt: skip
    clock = FrozenClock(START)
    async with live(settings, clock, RULES, resource("templates")) as running:
        known: dict[str, object] = {
            "type": "customer.registered",
            "customer": "ann",
            "data": {"email": "ann@shop.example", "consent": {"email": True}},
        }
        await post(running, clock, START, [known])
        running.http.headers["traceparent"] = TRACE
        await post(
            running, clock, START + timedelta(minutes=1), [{"type": "product.added", "customer": "ann", "data": {"session_id": "s"}}]
        )
        await running.stepper.run_out()
        async with asyncio.timeout(20):
            while not (told := await outcomes(running)):  # noqa: ASYNC110 - another service's work can only be asked for
                await asyncio.sleep(0.02)
    assert told == [("message.sent", TRACE)]
    assert await mails(tmp_path / "mails") == [TRACE]
