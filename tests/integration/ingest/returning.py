"""What the tests of returning customers share: claims, links, and what the ledger and the log hold."""

from datetime import timedelta
from typing import Any

from sqlalchemy import text

from services.consent import ledger
from services.consent.claims import Claim, ClickClaim, ConfirmationClaim, OpenClaim, PreferencesClaim, SurveyClaim
from services.contracts.codec import decode_event
from services.contracts.events import Event
from services.contracts.ids import Channel, CustomerId, MessageId
from services.runtime.settings.tree import SurveySettings, TopicNames
from tests.integration.ingest.door import Door

ANN, EMAIL, SMS, ALL, MESSAGE = CustomerId("ann"), Channel("email"), Channel("sms"), Channel("all"), MessageId("m-1")
TARGET = "https://shop.example/cart?a=1&b=2#top"
PERSON = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
READ = timedelta(minutes=5)
"""How long after it was rendered a message is read in these tests."""
SETTINGS: dict[str, Any] = {
    "topics": {"news": TopicNames(ru="Новости", en="News"), "sales": TopicNames(ru="Распродажи", en="Sales")},
    "surveys": {"fit": SurveySettings(ru="Всё ли подошло?", en="Did everything fit?", scale=False)},
}


def click_claim(door: Door, target: str = TARGET, number: int = 1) -> ClickClaim:
    """Return the claim of a link rendered five minutes ago."""
    return ClickClaim(ANN, EMAIL, MESSAGE, number, target, door.clock.now() - READ)


def claims(door: Door) -> dict[str, Claim]:
    """Return a claim for each page and picture, by the letter of its address."""
    return {
        "c": click_claim(door),
        "o": OpenClaim(ANN, EMAIL, MESSAGE, door.clock.now() - READ),
        "p": PreferencesClaim(ANN, EMAIL, MESSAGE, "ru"),
        "s": SurveyClaim(ANN, EMAIL, MESSAGE, "nps", "ru"),
        "d": ConfirmationClaim(ANN, EMAIL, "ann@shop.example", MESSAGE, "ru"),
    }


def path_of(door: Door, page: str, claim: Claim) -> str:
    """Return the address of a claim."""
    return f"/{page}/{door.signer.sign(claim)}" + (".gif" if page == "o" else "")


async def states(door: Door) -> dict[tuple[str, str], str]:
    """Return what Ann's consents are now."""
    async with door.database.reading() as connection:
        found = (await ledger.states_of(connection, [ANN])).get(ANN, {})
    return {key: str(consent.state) for key, consent in found.items()}


async def evidence(door: Door) -> list[tuple[str, str]]:
    """Return source and evidence of every entry of the ledger."""
    async with door.database.reading() as connection:
        rows = await connection.execute(text("SELECT source, evidence FROM consent_ledger ORDER BY channel, topic"))
        return [(row.source, row.evidence) for row in rows]


async def outbox(door: Door) -> list[Event]:
    """Return the events that wait in the outbox, by type."""
    async with door.database.reading() as connection:
        rows = await connection.execute(text("SELECT value FROM event_outbox"))
        return sorted((decode_event(row.value.encode()) for row in rows), key=lambda event: (event.type, str(event.data)))
