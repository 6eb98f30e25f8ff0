"""The unsubscribe link over a real socket."""

import asyncio
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from services.consent import ledger
from services.consent.claims import UnsubscribeClaim
from services.consent.ledger import Consent, ConsentState
from services.contracts.codec import decode_event
from services.contracts.ids import Channel, CustomerId, MessageId
from services.runtime.clock import FrozenClock
from services.runtime.database import Database
from tests.integration.ingest.door import Door, open_door, until

ANN, EMAIL = CustomerId("ann"), Channel("email")
CLAIM = UnsubscribeClaim(ANN, EMAIL, MessageId("m-1"))
MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n',
    {"content-type": "multipart/form-data; boundary=b"},
)
URLENCODED = (b"List-Unsubscribe=One-Click", {"content-type": "application/x-www-form-urlencoded"})


def _link(door: Door) -> str:
    return f"/u/{door.signer.sign(CLAIM)}"


async def _states(door: Door) -> dict[tuple[Channel, str], Consent]:
    async with door.database.reading() as connection:
        return dict((await ledger.states_of(connection, [ANN])).get(ANN, {}))


async def _sources(door: Door) -> list[tuple[str, str]]:
    async with door.database.reading() as connection:
        rows = await connection.execute(text("SELECT source, evidence FROM consent_ledger ORDER BY source"))
        return [(row.source, row.evidence) for row in rows]


@pytest.mark.parametrize(("wanted", "title"), [("ru-RU,ru", "Отписаться?"), ("en", "Unsubscribe?"), ("", "Unsubscribe?")])
async def test_get_asks_and_changes_nothing(door: Door, wanted: str, title: str) -> None:
    """Opening the link, as scanners do, shows a page in the reader's language that asks, and nothing is written."""
    answer = await door.client.get(_link(door), headers={"accept-language": wanted})
    assert answer.status_code == 200
    assert f"<h1>{title}</h1>" in answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert await _states(door) == {}
    assert door.wakes == []


async def test_pages_keep_to_themselves(door: Door) -> None:
    """The page sets no cookie, is not kept, tells no one where it came from, and may load nothing."""
    answer = await door.client.get(_link(door))
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


async def test_the_button_unsubscribes(door: Door) -> None:
    """When the page says so, it is written: the state, the ledger's entry, the event for the rules; and the outbox is woken."""
    answer = await door.client.post(_link(door), headers={"accept-language": "ru"})
    assert answer.status_code == 200
    assert "<h1>Вы отписаны</h1>" in answer.text
    assert await _states(door) == {(EMAIL, "all"): Consent(ConsentState.UNSUBSCRIBED, door.clock.now())}
    assert await _sources(door) == [("link", f"message m-1, from 127.0.0.1, by python-httpx/{httpx.__version__}")]
    assert door.wakes == ["outbox"]
    async with door.database.reading() as connection:
        (row,) = await connection.execute(text("SELECT value FROM event_outbox"))
    event = decode_event(row.value.encode())
    assert (event.type, event.subject, event.data["state"]) == ("povod.consent", "ann", "unsubscribed")


@pytest.mark.parametrize(("body", "headers"), [URLENCODED, MULTIPART], ids=["urlencoded", "multipart"])
async def test_one_click_unsubscribes(door: Door, body: bytes, headers: dict[str, str]) -> None:
    """A mail program's one click (RFC 8058) unsubscribes without a page, a cookie or a redirect."""
    answer = await door.client.post(_link(door), content=body, headers=headers)
    assert answer.status_code == 200
    assert [source for source, _ in await _sources(door)] == ["one_click"]


async def test_twice_is_once(door: Door) -> None:
    """Unsubscribing again is answered the same, and the customer stays unsubscribed."""
    link = _link(door)
    answers = [await door.client.post(link) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [consent.state for consent in (await _states(door)).values()] == [ConsentState.UNSUBSCRIBED]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("damage", ["cut", "changed", "foreign", "long", "strange"])
async def test_other_tokens_are_404(door: Door, method: str, damage: str) -> None:
    """A cut, changed, forged, over-long or senseless token is 404 with a page that says so, and nothing is written."""
    token = door.signer.sign(CLAIM)
    tokens = {
        "cut": token[:-1],
        "changed": token[:40] + ("A" if token[40] != "A" else "B") + token[41:],
        "foreign": "gAAAAAAAAAAAAAAAAAAAAA",
        "long": token * 30,
        "strange": "%00%ff%0d%0a",
    }
    answer = await door.client.request(method, f"/u/{tokens[damage]}")
    assert answer.status_code == 404
    assert "<h1>This link does not work</h1>" in answer.text
    assert await _states(door) == {}


async def test_a_database_that_is_away_is_503(tmp_path: Path, frozen_clock: FrozenClock, sqlite_url: str) -> None:
    """What could not be written is not acknowledged: 503 with a page that asks to try again, and the outbox is left alone."""
    async with open_door(tmp_path, sqlite_url, frozen_clock, pages_database=Database("postgresql://nobody@127.0.0.1:1/gone")) as door:
        answer = await door.client.post(_link(door))
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert "<h1>Not done yet</h1>" in answer.text
        assert door.wakes == []


async def test_a_large_form_is_refused(door: Door) -> None:
    """A form that is far larger than one field is not read into memory."""
    answer = await door.client.post(_link(door), content=b"x" * 100_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")


async def test_who_hangs_up_has_asked_all_the_same(door: Door) -> None:
    """A client that is gone before its form is whole is unsubscribed: it has said so with its first line."""
    head = f"POST {_link(door)} HTTP/1.1\r\nhost: x\r\ncontent-length: 26\r\n\r\nList-Unsub"
    _, writer = await asyncio.open_connection("127.0.0.1", door.server.port)
    writer.write(head.encode())
    await writer.drain()
    writer.close()
    await until(lambda: bool(door.wakes))
    assert [consent.state for consent in (await _states(door)).values()] == [ConsentState.UNSUBSCRIBED]


async def test_other_methods_are_405(door: Door) -> None:
    """Only asking and doing; the answer says so."""
    answer: httpx.Response = await door.client.delete(_link(door))
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")
