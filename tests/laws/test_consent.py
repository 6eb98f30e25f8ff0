"""The ledger of consents and the suppressions, on both databases."""

import asyncio
import itertools
from collections.abc import Sequence

import pytest
from sqlalchemy import text

from services.consent import ledger, suppressions
from services.consent.claims import UnsubscribeClaim
from services.consent.ledger import Consent, ConsentEntry, ConsentState
from services.consent.suppressions import Suppression
from services.consent.unsubscribe import unsubscribe
from services.contracts.codec import decode_event
from services.contracts.ids import MessageId
from services.runtime.database import Database
from tests.laws.consent_builders import ANN, BOB, EMAIL, NOON, OFF, ON, SMS, entry, minute

CLAIM = UnsubscribeClaim(ANN, EMAIL, MessageId("m1"))


async def record(database: Database, *entries: ConsentEntry) -> None:
    """Record statements in one transaction."""
    async with database.transaction() as connection:
        await ledger.record(connection, entries, NOON)


async def state_of(database: Database) -> Consent | None:
    """Return what Ann's e-mail consent is now."""
    async with database.reading() as connection:
        return (await ledger.states_of(connection, [ANN])).get(ANN, {}).get((EMAIL, "all"))


async def count(database: Database, table: str) -> int:
    """Return a table's number of rows."""
    async with database.reading() as connection:
        found: int = (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()  # noqa: S608 - names of our own
    return found


STATEMENTS = [entry(ON, 1), entry(OFF, 2), entry(ON, 2), entry(ON, 0)]


@pytest.mark.parametrize("order", list(itertools.permutations(STATEMENTS))[::3])
async def test_the_later_statement_wins_in_any_order(database: Database, order: Sequence[ConsentEntry]) -> None:
    """Whatever order statements come in, one by one, the latest holds; of two at one moment, the unsubscription."""
    for each in order:
        await record(database, each)
    assert await state_of(database) == (ConsentState.UNSUBSCRIBED, minute(2))
    assert await count(database, "consent_ledger") == 4


async def test_one_transaction_may_hold_many_statements_of_one_customer(database: Database) -> None:
    """The same rule holds inside one call; recording the same again changes nothing."""
    for _ in range(2):
        await record(database, *STATEMENTS, entry(ON, 5, BOB), entry(OFF, 3, BOB, SMS))
    assert await state_of(database) == (ConsentState.UNSUBSCRIBED, minute(2))
    assert await count(database, "consent_ledger") == 6
    async with database.reading() as connection:
        found = await ledger.states_of(connection, [BOB, BOB])
    assert found == {BOB: {(EMAIL, "all"): (ON, minute(5)), (SMS, "all"): (OFF, minute(3))}}


async def test_the_states_of_nobody_are_none(database: Database) -> None:
    """Asked for no customer, the ledger answers with none; a topic's statement is not the channel's."""
    await record(database, entry(OFF, 1, BOB, EMAIL, "news"))
    async with database.reading() as connection:
        assert await ledger.states_of(connection, []) == {}
        assert await ledger.states_of(connection, [ANN, BOB]) == {BOB: {(EMAIL, "news"): (OFF, minute(1))}}


async def test_evidence_with_a_nul_is_kept(database: Database) -> None:
    """What PostgreSQL's text refuses is escaped, not lost and not an error."""
    await record(database, entry(OFF, 1)._replace(evidence="agent\x00\ud800"))
    async with database.reading() as connection:
        assert (await connection.execute(text("SELECT evidence FROM consent_ledger"))).scalar_one() == "agent\\x00\\ud800"


async def test_an_unsubscription_is_written_with_its_event(database: Database) -> None:
    """When `unsubscribe` returns, ledger, state and the event for the rules are there, in one transaction."""
    written = await unsubscribe(database, CLAIM, NOON, "one_click", "m1")
    assert await state_of(database) == (ConsentState.UNSUBSCRIBED, NOON)
    async with database.reading() as connection:
        row = (await connection.execute(text("SELECT id, customer, value FROM event_outbox"))).one()
    event = decode_event(row.value.encode())
    assert (row.id, row.customer, event.id) == (f"consent:{written.id}", ANN, f"consent:{written.id}")
    assert (event.type, event.subject, event.time) == ("povod.consent", ANN, NOON)
    assert event.data == {"channel": "email", "state": "unsubscribed", "topic": "all", "at": NOON.isoformat(), "source": "one_click"}


async def test_unsubscribing_twice_is_one_statement(database: Database) -> None:
    """The same click repeated at the same moment adds nothing."""
    assert await unsubscribe(database, CLAIM, NOON, "link", "m1") == await unsubscribe(database, CLAIM, NOON, "link", "m1")
    assert (await count(database, "consent_ledger"), await count(database, "event_outbox")) == (1, 1)


async def test_an_unsubscription_wins_over_a_statement_dated_later(database: Database) -> None:
    """A fast clock elsewhere can't outvote a click: it is dated no earlier than what was stated before."""
    await record(database, entry(ON, 5))
    await unsubscribe(database, CLAIM, minute(1), "link", "m1")
    assert await state_of(database) == (ConsentState.UNSUBSCRIBED, minute(5))
    await record(database, entry(ON, 5))
    assert await state_of(database) == (ConsentState.UNSUBSCRIBED, minute(5))


async def test_many_unsubscribe_at_once(database: Database) -> None:
    """Concurrent clicks of many customers neither deadlock nor get lost."""
    claims = [UnsubscribeClaim(f"customer-{n % 20}", EMAIL) for n in range(60)]  # type: ignore[arg-type]
    await asyncio.gather(*(unsubscribe(database, claim, minute(n), "link", "") for n, claim in enumerate(claims)))
    assert (await count(database, "consents"), await count(database, "consent_ledger")) == (20, 60)


async def test_suppressions_are_by_channel_and_address(database: Database) -> None:
    """An address is suppressed on its channel only, e-mail whatever its case; the first reason stays."""
    async with database.transaction() as connection:
        await suppressions.add(
            connection,
            [
                Suppression(EMAIL, "Ann@Shop.example", "hard_bounce", NOON, ANN, MessageId("m1")),
                Suppression(EMAIL, "ann@shop.example", "complaint", NOON),
                Suppression(SMS, "+79161234567", "blocked", NOON, BOB),
            ],
        )
    async with database.transaction() as connection:
        await suppressions.add(connection, [Suppression(SMS, "+79161234567", "other", NOON)])
        await suppressions.add(connection, [])
    async with database.reading() as connection:
        found = await suppressions.look_up(
            connection, [(EMAIL, "ANN@shop.example"), (SMS, "ann@shop.example"), (SMS, "+79161234567"), (EMAIL, "bob@shop.example")]
        )
        assert await suppressions.look_up(connection, []) == {}
    assert found == {(EMAIL, "ANN@shop.example"): "hard_bounce", (SMS, "+79161234567"): "blocked"}
