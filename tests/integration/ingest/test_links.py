"""Links and pictures of messages over a real socket."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.consent.claims import ClickClaim, OpenClaim
from services.consent.tokens import TokenSigner
from services.runtime.clock import FrozenClock
from tests.integration.ingest.door import Door, open_door
from tests.integration.ingest.returning import ANN, EMAIL, MESSAGE, PERSON, SETTINGS, TARGET, claims, click_claim, path_of, states

SCANNER = {"user-agent": "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)"}
GOOGLE = {"user-agent": "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"}


@pytest.fixture
async def door(tmp_path: Path, sqlite_url: str, frozen_clock: FrozenClock) -> AsyncIterator[Door]:
    """Return a running service with topics and surveys."""
    async with open_door(tmp_path, sqlite_url, frozen_clock, **SETTINGS) as opened:
        yield opened


async def test_a_click_leads_to_the_signed_address_and_is_reported(door: Door) -> None:
    """302 to the address in the token; the log has `message.clicked` of the customer before the browser goes on."""
    answer = await door.client.get(path_of(door, "c", click_claim(door)), headers=PERSON)
    assert (answer.status_code, answer.headers["location"], answer.headers["cache-control"]) == (302, TARGET, "no-store")
    ((record,), (event,)) = await door.records(), await door.events()
    assert (record.key, event.type, event.subject, event.time, event.receivedtime) == (
        b"ann",
        "message.clicked",
        "ann",
        *[door.clock.now()] * 2,
    )
    assert event.data == {"message_id": "m-1", "channel": "email", "link": 1, "url": TARGET}
    assert not event.bot


async def test_a_reload_within_a_minute_is_one_event(door: Door, frozen_clock: FrozenClock) -> None:
    """The same link again is the same event for a minute, another link or a minute later another one."""
    for claim in [click_claim(door)] * 3 + [click_claim(door, number=2)]:
        await door.client.get(path_of(door, "c", claim), headers=PERSON)
    path = path_of(door, "c", click_claim(door))
    frozen_clock.advance(timedelta(minutes=1))
    await door.client.get(path, headers=PERSON)
    assert [event.data["link"] for event in sorted(await door.events(), key=lambda event: event.time)] == [1, 2, 1]
    assert len({event.id for event in await door.events()}) == 3
    assert door.metrics.value("povod_ingest_returns_total", type="message.clicked", result="repeated") == 2


@pytest.mark.parametrize("headers", [SCANNER, {**PERSON, "sec-purpose": "prefetch;prerender"}, {**PERSON, "purpose": "prefetch"}])
async def test_a_programs_click_is_marked(door: Door, headers: dict[str, str]) -> None:
    """A scanner gets its page too, and its click is no sign of the customer's life; it does not stand for his own."""
    path = path_of(door, "c", click_claim(door))
    assert (await door.client.get(path, headers=headers)).status_code == 302
    assert (await door.client.get(path, headers=PERSON)).status_code == 302
    assert sorted(event.bot is True for event in await door.events()) == [False, True]


async def test_nobody_clicks_two_seconds_after_the_message_was_written(door: Door) -> None:
    """A click before anybody can have read the message is a program's, whatever it calls itself."""
    for seconds in (1.9, 2.0):
        claim = ClickClaim(ANN, EMAIL, MESSAGE, int(seconds), TARGET, door.clock.now() - timedelta(seconds=seconds))
        await door.client.get(path_of(door, "c", claim), headers=PERSON)
    assert {event.data["link"]: event.bot is True for event in await door.events()} == {1: True, 2: False}


@pytest.mark.parametrize("page", ["c", "o"])
async def test_head_reports_nothing(door: Door, page: str) -> None:
    """A look at the head answers as GET does and leaves no trace."""
    answer = await door.client.head(path_of(door, page, claims(door)[page]), headers=PERSON)
    assert answer.status_code == (302 if page == "c" else 200)
    assert answer.content == b""
    assert await door.events() == []


async def test_a_log_that_is_away_keeps_nobody_from_the_page(door: Door) -> None:
    """While the log does not answer the customer is led on all the same, the picture is shown, and the loss is counted."""
    async with door.stuck_disk():
        click = await door.client.get(path_of(door, "c", click_claim(door)), headers=PERSON)
        picture = await door.client.get(path_of(door, "o", claims(door)["o"]), headers=PERSON)
    assert (click.status_code, click.headers["location"], picture.status_code) == (302, TARGET, 200)
    assert door.metrics.value("povod_ingest_returns_total", type="message.clicked", result="lost") == 1
    assert door.metrics.value("povod_ingest_returns_total", type="message.opened", result="lost") == 1


REDIRECTS = [
    "https://evil.example/",
    "https://evil.example/?url=https://shop.example",
    "//evil.example",
    "https:%2f%2fevil.example",
    "?url=https://evil.example",
    "?u=https://evil.example&token=x",
    "..%2f..%2fhttps:/evil.example",
    "%0d%0alocation:%20https://evil.example",
]


@pytest.mark.parametrize("tail", REDIRECTS)
async def test_no_open_redirect(door: Door, tail: str) -> None:
    """Nothing that is not inside a token of ours leads anywhere: not in the path, not in a query, not behind a good token."""
    good = path_of(door, "c", click_claim(door))
    for path in (f"/c/{tail}", f"{good}/{tail}", f"{good}%20{tail}"):
        answer = await door.client.get(path, headers=PERSON)
        assert answer.status_code in {404, 302}
        assert answer.headers.get("location", TARGET) == TARGET
    assert (await door.client.get(f"{good}?url=https://evil.example", headers=PERSON)).headers["location"] == TARGET


@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)",
        "data:text/html,<script>",
        "//evil.example",
        "https://shop.example@evil.example/",
        "https://x\r\nset-cookie: a",
        "/",
    ],
)
async def test_a_signed_target_is_checked_too(door: Door, target: str) -> None:
    """Should dispatch ever sign something that is no web address, it leads nowhere."""
    answer = await door.client.get(path_of(door, "c", click_claim(door, target)), headers=PERSON)
    assert (answer.status_code, answer.headers.get("location")) == (404, None)
    assert await door.events() == []


async def test_letters_of_other_alphabets_stay_in_the_address(door: Door) -> None:
    """A Russian address goes out percent-encoded, as headers want it, and means the same."""
    answer = await door.client.get(path_of(door, "c", click_claim(door, "https://shop.example/корзина?q=a%20b")), headers=PERSON)
    assert answer.headers["location"] == "https://shop.example/%D0%BA%D0%BE%D1%80%D0%B7%D0%B8%D0%BD%D0%B0?q=a%20b"


async def test_the_picture_is_always_a_picture(door: Door) -> None:
    """One transparent point for whoever asks, not to be kept; the customer's own opening is reported."""
    path = path_of(door, "o", claims(door)["o"])
    for each in (path, "/o/rubbish.gif", f"/o/{TokenSigner(['another secret, long enough']).sign(claims(door)['o'])}.gif"):
        answer = await door.client.get(each, headers=PERSON)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
        assert answer.content.startswith(b"GIF89a")
        assert answer.content.endswith(b";")
        assert answer.headers["cache-control"].startswith("no-store")
    (event,) = await door.events()
    assert (event.type, event.subject, event.bot is True) == ("message.opened", "ann", False)
    assert event.data == {"message_id": "m-1", "channel": "email", "prefetched": False}


@pytest.mark.parametrize(
    ("headers", "bot", "prefetched"),
    [(PERSON, False, False), (GOOGLE, False, True), ({"user-agent": "Mozilla/5.0"}, False, True), (SCANNER, True, False)],
    ids=["person", "google", "apple", "scanner"],
)
async def test_who_opened_a_mail(door: Door, headers: dict[str, str], *, bot: bool, prefetched: bool) -> None:
    """Gmail's and Apple's picture proxies are marked as such, scanners as programs."""
    await door.client.get(path_of(door, "o", claims(door)["o"]), headers=headers)
    (event,) = await door.events()
    assert (event.bot is True, event.data["prefetched"]) == (bot, prefetched)


async def test_an_opening_too_soon_is_a_programs(door: Door) -> None:
    """A picture fetched as soon as the message was written tells of no reader."""
    await door.client.get(path_of(door, "o", OpenClaim(ANN, EMAIL, MESSAGE, door.clock.now())), headers=PERSON)
    assert [event.bot for event in await door.events()] == [True]


@pytest.mark.parametrize("page", ["c", "p", "s", "d", "u"])
@pytest.mark.parametrize("of", ["c", "o", "p", "s", "d"])
async def test_a_token_opens_its_own_page_only(door: Door, page: str, of: str) -> None:
    """Each kind of token is 404 at every other page, by GET and by POST, and changes nothing."""
    if page == of:
        return
    token = door.signer.sign(claims(door)[of])
    answers = [await door.client.request(method, f"/{page}/{token}") for method in (["GET"] if page == "c" else ["GET", "POST"])]
    assert {answer.status_code for answer in answers} == {404}
    assert (await states(door), await door.events(), door.wakes) == ({}, [], [])


@pytest.mark.parametrize("page", ["p", "s", "d"])
async def test_get_changes_nothing(door: Door, page: str) -> None:
    """However often a scanner opens a page or asks for its head, with whatever behind it, neither ledger nor log nor outbox change."""
    path = path_of(door, page, claims(door)[page])
    for query in ("", "?score=9", "?lang=en", "?channel=email&frequency=less&nothing=1", "?comment=x&score=11"):
        assert (await door.client.get(path + query, headers=SCANNER)).status_code == 200
        head = await door.client.head(path + query, headers=SCANNER)
        assert (head.status_code, head.content) == (200, b"")
    assert (await states(door), await door.events(), door.wakes) == ({}, [], [])
