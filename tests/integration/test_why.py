"""`povod why` over a real database: the ledger's rows, the journal's state and the customer's own time, put together."""

import asyncio
import json

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from services.commands.invocation import Invocation
from services.commands.why import why
from services.contracts.ids import Channel, ContentHash, CustomerId
from services.contracts.moments import to_micros
from services.contracts.partitioning import bucket_of
from services.rules.core.document import RefusedMerge, encode_document, new_document
from services.rules.store import CustomerRow, DecisionRow, append_decisions, save_customers
from services.runtime.database import Database
from tests.conftest import START

ANN = CustomerId("ann-1")
SENT = "11111111-1111-5111-8111-111111111111"
GATES = json.dumps({"gates": [{"gate": "late", "answer": "pass", "late_by_s": 0.0, "max_lateness_s": 3600.0}]})


@pytest.fixture
def told(database_url: str) -> str:
    """Return the address of a database that knows one customer, two decisions and one delivered message."""
    asyncio.run(_fill(database_url))
    return database_url


async def _fill(url: str) -> None:
    database = Database(url)
    document = new_document(ANN)
    document.timezone, document.stage = "Asia/Vladivostok", "active"
    bucket, now = bucket_of(ANN), to_micros(START)
    rows = [
        DecisionRow(bucket, ANN, 1, 0, "welcome", "", "steps/0", "e1", "sent", "ok", Channel("email"), SENT, GATES),
        DecisionRow(bucket, ANN, 2, 0, "cart", "s1", "", "e2", "skipped", "stage", None, None, GATES),
    ]
    async with database.transaction() as connection:
        await save_customers(connection, [CustomerRow(bucket, ANN, encode_document(document).decode(), None, now)])
        await append_decisions(connection, rows, now, ContentHash("abcdef012345" + "0" * 52))
        await connection.execute(text(_DELIVERY), {"message": SENT, "customer": ANN, "now": now, "later": now + 3_600_000_000})
    await database.close()


_DELIVERY = (
    "INSERT INTO deliveries (message_id, customer, channel, recipient, journey, step, template, state, attempt, ambiguous, priority,"
    " expires_at, ended_at, reason, detail, provider_id, command)"
    " VALUES (:message, :customer, 'email', 'ann@example.org', 'welcome', 'steps/0', 'welcome', 'sent', 2, 0, 0, :later, :now, NULL,"
    " '250 OK', 'p1', '{}')"
)


def ask(url: str, *arguments: str) -> Result:
    """Run the command on that database."""
    return CliRunner().invoke(why, list(arguments), obj=Invocation({"POVOD_DATABASE__URL": url}))


def test_it_tells_each_decision_and_what_became_of_the_message(told: str) -> None:
    """In the customer's time with UTC beside it, with the gates, the cause and the journal's last word."""
    assert ask(told, ANN).stdout.splitlines() == [
        "ann-1: active, Asia/Vladivostok, decisions: 2",
        "",
        "2026-03-02 19:00 Asia/Vladivostok (2026-03-02 09:00 UTC)  welcome · steps/0",
        "  SENT by email (ok): every gate let it pass",
        "    in time? yes (0s late, up to 1h is allowed)",
        "    because of e1; rule set abcdef012345",
        f"    message {SENT}: sent, to ann@example.org, template welcome, on 2026-03-02 19:00, after 2 attempts, 250 OK",
        "",
        "2026-03-02 19:00 Asia/Vladivostok (2026-03-02 09:00 UTC)  cart · s1",
        "  NOT SENT (stage): the journey is not for the customer's stage",
        "    in time? yes (0s late, up to 1h is allowed)",
        "    because of e2; rule set abcdef012345",
    ]


def test_one_journey_or_one_message_can_be_asked_for(told: str) -> None:
    """The others are left out."""
    assert "welcome" not in ask(told, ANN, "--journey", "cart").stdout
    assert "decisions: 1" in ask(told, ANN, "--message", SENT).stdout
    assert "No journey has decided anything here." in ask(told, ANN, "--journey", "no-such").stdout


def test_json_holds_the_same(told: str) -> None:
    """Every column of the ledger, and the delivery or null."""
    printed = json.loads(ask(told, ANN, "--json").stdout)

    assert (printed["customer"], printed["stage"], printed["timezone"]) == (ANN, "active", "Asia/Vladivostok")
    sent, skipped = printed["decisions"]
    assert (sent["verdict"], sent["message_id"], sent["delivery"]["state"], sent["delivery"]["provider_id"]) == ("sent", SENT, "sent", "p1")
    assert (skipped["reason"], skipped["delivery"], skipped["at"]) == ("stage", None, "2026-03-02T09:00:00Z")


async def _merge(url: str) -> None:
    database = Database(url)
    document = new_document(CustomerId("visitor-7"))
    document.merged_into, document.refused_merges = ANN, (RefusedMerge("zoe", START, "merged_already"),)
    document.merged_from = (CustomerId("cookie-1"), CustomerId("cookie-2"))
    async with database.transaction() as connection:
        row = CustomerRow(bucket_of(document.customer), document.customer, encode_document(document).decode(), None, to_micros(START))
        await save_customers(connection, [row])
    await database.close()


def test_it_tells_who_became_whom(told: str) -> None:
    """Decisions stand under the id that the customer had then; why says where to look, and which merges were refused."""
    asyncio.run(_merge(told))

    lines = ask(told, "visitor-7").stdout.splitlines()
    assert lines[1:4] == [
        "became ann-1: later events are decided there",
        "was before: cookie-1, cookie-2",
        "did not become zoe on 2026-03-02 09:00 UTC: merged_already",
    ]
    printed = json.loads(ask(told, "visitor-7", "--json").stdout)
    assert (printed["merged_into"], printed["merged_from"]) == (ANN, ["cookie-1", "cookie-2"])
    assert printed["refused_merges"] == [["zoe", "2026-03-02T09:00:00Z", "merged_already"]]
    assert "merged_into" not in json.loads(ask(told, ANN, "--json").stdout)


def test_an_unknown_customer_is_told_with_who_may_be_meant(told: str) -> None:
    """A slip in an id is the likeliest reason."""
    assert str(ask(told, "ann-2").exception) == "nothing is known of a customer 'ann-2'; did you mean ann-1?"
    assert str(ask(told, "zoe").exception) == "nothing is known of a customer 'zoe'"
