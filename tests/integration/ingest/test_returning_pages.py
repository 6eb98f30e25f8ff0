"""Preference page, survey and confirmation over a real socket, as forms without a script post to them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from services.consent.claims import ConfirmationClaim, PreferencesClaim, SurveyClaim, UnsubscribeClaim
from services.consent.confirmation import confirm
from services.consent.statements import Proof
from services.consent.unsubscribe import unsubscribe
from services.runtime.clock import FrozenClock
from services.runtime.database import Database
from tests.integration.ingest.door import Door, open_door
from tests.integration.ingest.returning import (
    ALL,
    ANN,
    EMAIL,
    FORM,
    MESSAGE,
    SETTINGS,
    SMS,
    claims,
    evidence,
    outbox,
    path_of,
    states,
)

AGENT = {"user-agent": "TestBrowser/1.0"}
PREFERENCES = PreferencesClaim(ANN, EMAIL, MESSAGE, "ru")
LESS = ("all", "povod.less_often")
SHOWN = [("shown_channel", "email"), ("shown_topic", "news"), ("shown_topic", "sales")]
UNCHANGED = [*SHOWN, ("channel", "email"), ("topic", "news"), ("topic", "sales"), ("frequency", "normal"), ("language", "ru")]


@pytest.fixture
async def door(tmp_path: Path, sqlite_url: str, frozen_clock: FrozenClock) -> AsyncIterator[Door]:
    """Return a running service with topics and surveys."""
    async with open_door(tmp_path, sqlite_url, frozen_clock, **SETTINGS) as opened:
        yield opened


async def post(door: Door, path: str, fields: list[tuple[str, str]]) -> httpx.Response:
    """Post a form as a browser does."""
    return await door.client.post(path, content=urlencode(fields), headers={**FORM, **AGENT})


async def save(door: Door, *fields: tuple[str, str]) -> httpx.Response:
    """Post Ann's preferences."""
    return await post(door, path_of(door, "p", PREFERENCES), list(fields))


def ticked(page: str) -> list[str]:
    """Return the values of all fields of a page that are ticked."""
    return [piece.split('value="')[1].split('"')[0] for piece in page.split("<input")[1:] if " checked>" in piece.split("</label>")[0]]


@pytest.mark.parametrize(
    ("query", "accept", "title"),
    [("", "en", "Настройки рассылки"), ("?lang=en", "ru", "Your message settings"), ("?lang=xx", "en", "Настройки рассылки")],
)
async def test_the_page_speaks_the_messages_language(door: Door, query: str, accept: str, title: str) -> None:
    """The language chosen on the page counts, then that of the message, then the browser's."""
    answer = await door.client.get(path_of(door, "p", PREFERENCES) + query, headers={"accept-language": accept})
    assert answer.status_code == 200
    assert f"<h1>{title}</h1>" in answer.text


async def test_the_page_shows_what_holds(door: Door) -> None:
    """Before anything was said: the channel he came by, all topics, as usual, the message's language."""
    answer = await door.client.get(path_of(door, "p", PREFERENCES))
    assert ticked(answer.text) == ["email", "news", "sales", "normal", "ru"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "set-cookie" not in answer.headers


async def test_saving_what_was_shown_states_nothing(door: Door) -> None:
    """A box that was ticked by us and left so is no consent: nothing is written, nobody is woken."""
    answer = await save(door, *UNCHANGED)
    assert (answer.status_code, await states(door), await outbox(door), door.wakes) == (200, {}, [], [])
    assert "<h1>Сохранено</h1>" in answer.text


async def test_changes_are_written_and_told(door: Door) -> None:
    """A topic left, fewer messages, another language: in the ledger with its evidence, and told to the rules before the page says so."""
    answer = await save(door, *SHOWN, ("channel", "email"), ("topic", "news"), ("frequency", "less"), ("language", "en"))
    assert "<h1>Сохранено</h1>" in answer.text
    assert await states(door) == {("all", "sales"): "unsubscribed", LESS: "subscribed"}
    assert set(await evidence(door)) == {("preferences", "message m-1, from 127.0.0.1, by TestBrowser/1.0")}
    events = {event.type: event for event in await outbox(door) if event.type == "povod.preferences"}
    assert events["povod.preferences"].data == {"frequency": "less", "language": "en"}
    assert events["povod.preferences"].subject == "ann"
    assert door.wakes == ["outbox"]
    page = await door.client.get(path_of(door, "p", PREFERENCES))
    assert ticked(page.text) == ["email", "news", "less", "ru"]


async def test_saving_twice_is_once(door: Door) -> None:
    """The same form again changes nothing more."""
    fields = [*SHOWN, ("channel", "email"), ("topic", "news"), ("frequency", "less")]
    for _ in range(2):
        assert (await save(door, *fields)).status_code == 200
    assert len(await evidence(door)) == 2
    assert door.wakes == ["outbox"]


async def test_a_channel_left_and_taken_again(door: Door, frozen_clock: FrozenClock) -> None:
    """Without its tick the channel is unsubscribed; with it, subscribed again, in the same moment of the clock too."""
    await save(door, ("shown_channel", "email"), ("frequency", "normal"))
    assert await states(door) == {("email", "all"): "unsubscribed"}
    await save(door, ("shown_channel", "email"), ("channel", "email"), ("frequency", "normal"))
    assert await states(door) == {("email", "all"): "subscribed"}


async def test_a_form_states_only_what_it_showed(door: Door) -> None:
    """Neither a channel that was not shown nor one that does not exist is changed, whatever is posted."""
    await save(door, ("channel", "sms"), ("topic", "evil"), ("shown_topic", "evil"), ("shown_channel", "fax"), ("channel", "fax"))
    await save(door, ("shown_channel", "x" * 5_000), ("frequency", "never"), ("language", "xx"), ("frequency", ""))
    assert (await states(door), await outbox(door)) == ({}, [])


async def test_everything_is_left_with_one_button(door: Door) -> None:
    """The second button says no to every channel shown."""
    proof = Proof(door.clock.now(), "test", "")
    await confirm(door.database, ConfirmationClaim(ANN, SMS, "+79161234567"), proof)
    page = await door.client.get(path_of(door, "p", PREFERENCES))
    assert ticked(page.text)[:2] == ["email", "sms"]
    answer = await save(door, *UNCHANGED, ("shown_channel", "sms"), ("channel", "sms"), ("nothing", "1"))
    assert "<h1>Вы отписаны от всего</h1>" in answer.text
    assert await states(door) == {("email", "all"): "unsubscribed", ("sms", "all"): "unsubscribed"}


async def test_who_had_left_everything_comes_back_to_what_he_ticks(door: Door) -> None:
    """After an unsubscription from all channels, ticking one takes up that one and no other."""
    await unsubscribe(door.database, UnsubscribeClaim(ANN, ALL), door.clock.now(), "link", "")
    await confirm(door.database, ConfirmationClaim(ANN, SMS, "+79161234567"), Proof(door.clock.now(), "test", ""))
    await unsubscribe(door.database, UnsubscribeClaim(ANN, ALL), door.clock.now(), "link", "")
    assert ticked((await door.client.get(path_of(door, "p", PREFERENCES))).text)[0] == "news"
    await save(door, ("shown_channel", "email"), ("channel", "email"), ("shown_channel", "sms"), ("frequency", "normal"))
    assert await states(door) == {("all", "all"): "subscribed", ("email", "all"): "subscribed", ("sms", "all"): "unsubscribed"}


@pytest.mark.parametrize("page", ["p", "d"])
async def test_what_can_not_be_written_is_not_acknowledged(tmp_path: Path, frozen_clock: FrozenClock, sqlite_url: str, page: str) -> None:
    """While the database is away the customer is asked to try again: 503."""
    async with open_door(tmp_path, sqlite_url, frozen_clock, pages_database=Database("postgresql://nobody@127.0.0.1:1/gone")) as door:
        answer = await post(door, path_of(door, page, claims(door)[page]), [("shown_channel", "email")])
        assert (answer.status_code, answer.headers["retry-after"], door.wakes) == (503, "1", [])
        assert "<h1>Пока не получилось</h1>" in answer.text


async def test_a_confirmation_subscribes_with_its_evidence(door: Door) -> None:
    """The page names the address; the button writes who confirmed what, from where and by which program, and tells the rules."""
    path = path_of(door, "d", claims(door)["d"])
    page = await door.client.get(path)
    assert "писать на ann@shop.example" in page.text
    assert await states(door) == {}
    answer = await post(door, path, [])
    assert "<h1>Подписка подтверждена</h1>" in answer.text
    assert await states(door) == {("email", "all"): "subscribed"}
    assert await evidence(door) == [("double_opt_in", "address ann@shop.example, message m-1, from 127.0.0.1, by TestBrowser/1.0")]
    (event,) = await outbox(door)
    assert (event.type, event.subject, event.data["state"], event.data["source"]) == ("povod.consent", "ann", "subscribed", "double_opt_in")
    assert door.wakes == ["outbox"]


async def test_a_confirmation_expires_and_nothing_else_does(door: Door) -> None:
    """Thirty days after it was asked for, to the moment, an address is confirmed no more: 410, nothing is written. The other links work."""
    asked_at = door.clock.now()
    path = path_of(door, "d", ConfirmationClaim(ANN, EMAIL, "ann@shop.example", MESSAGE, "ru", asked_at))
    endless = claims(door) | {"u": UnsubscribeClaim(ANN, EMAIL, MESSAGE)}
    others = {page: path_of(door, page, endless[page]) for page in ("u", "p", "s")}
    door.clock.advance(timedelta(days=30))
    assert (await door.client.get(path)).status_code == 200
    door.clock.advance(timedelta(microseconds=1))
    asked, pressed = await door.client.get(path), await post(door, path, [])
    assert (asked.status_code, pressed.status_code) == (410, 410)
    assert "<h1>Срок ссылки истёк</h1>" in asked.text
    assert (await states(door), await outbox(door), door.wakes) == ({}, [], [])
    door.clock.advance(timedelta(days=3_650))
    assert {page: (await door.client.get(other)).status_code for page, other in others.items()} == {"u": 200, "p": 200, "s": 200}


async def test_a_confirmation_is_escaped(door: Door) -> None:
    """An address that looks like markup stays text."""
    page = await door.client.get(path_of(door, "d", ConfirmationClaim(ANN, EMAIL, "<img src=x>@shop.example")))
    assert "&lt;img src=x&gt;@shop.example" in page.text


async def test_a_score_in_the_link_is_ticked_and_not_counted(door: Door) -> None:
    """`?score=9` ticks nine; other values tick nothing; nobody has answered yet."""
    path = path_of(door, "s", claims(door)["s"])
    for query, expected in (("?score=9", ["9"]), ("?score=0", ["0"]), ("?score=11", []), ("?score=%3Cscript%3E", []), ("", [])):
        assert ticked((await door.client.get(path + query)).text) == expected
    assert await door.events() == []


async def test_an_answer_is_on_the_log_before_the_thanks(door: Door) -> None:
    """`survey.answered` of the customer, with score, words, question and message."""
    answer = await post(door, path_of(door, "s", claims(door)["s"]), [("score", "9"), ("comment", "  Быстро!\r\nСпасибо\0 ")])
    assert (answer.status_code, "<h1>Спасибо за ответ!</h1>" in answer.text) == (200, True)
    ((record,), (event,)) = await door.records(), await door.events()
    assert (record.key, event.type, event.subject) == (b"ann", "survey.answered", "ann")
    assert event.data == {"message_id": "m-1", "channel": "email", "question": "nps", "score": 9, "comment": "Быстро!\nСпасибо"}


async def test_the_last_answer_is_another_event(door: Door) -> None:
    """Sending the same answer twice is one event; another answer is a new one."""
    path = path_of(door, "s", claims(door)["s"])
    for score in ("3", "3", "9"):
        await post(door, path, [("score", score), ("comment", "")])
    assert sorted(event.data["score"] for event in await door.events()) == [3, 9]


@pytest.mark.parametrize("fields", [[], [("score", "11")], [("score", ""), ("comment", "  ")], [("score", "-1")], [("score", "9.5")]])
async def test_no_answer_is_asked_again(door: Door, fields: list[tuple[str, str]]) -> None:
    """An empty or impossible answer shows the question again with a word about it, and is no event."""
    answer = await post(door, path_of(door, "s", claims(door)["s"]), fields)
    assert (answer.status_code, 'role="alert"' in answer.text, await door.events()) == (400, True, [])


async def test_a_question_of_the_shops_own(door: Door) -> None:
    """A question from the settings has its wording in the reader's language; one without a scale asks for words only."""
    path = path_of(door, "s", SurveyClaim(ANN, EMAIL, MESSAGE, "fit", "ru"))
    russian, english = [(await door.client.get(path + query)).text for query in ("", "?lang=en")]
    assert ("Всё ли подошло?" in russian, "Did everything fit?" in english, 'type="radio"' in russian) == (True, True, False)
    await post(door, path, [("comment", "Да")])
    assert [(event.data["question"], event.data["score"], event.data["comment"]) for event in await door.events()] == [("fit", None, "Да")]


async def test_an_answer_that_is_not_stored_is_not_thanked_for(door: Door) -> None:
    """While the log does not answer: 503, and the customer is asked to try again."""
    async with door.stuck_disk():
        answer = await post(door, path_of(door, "s", claims(door)["s"]), [("score", "9")])
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "<h1>Пока не получилось</h1>" in answer.text


@pytest.mark.parametrize("page", ["p", "s", "d"])
async def test_hostile_forms_are_refused(door: Door, page: str) -> None:
    """A form that is too large or has a thousand fields is refused, not read; nothing is written."""
    path = path_of(door, page, claims(door)[page])
    large = await door.client.post(path, content=b"comment=" + b"x" * 100_000, headers=FORM)
    many = await door.client.post(path, content=b"&".join([b"a=1"] * 1_000), headers=FORM)
    assert (large.status_code, many.status_code) == (413, 400)
    assert (await states(door), await door.events()) == ({}, [])


@pytest.mark.parametrize("page", ["p", "s", "d"])
async def test_long_comments_and_odd_bytes_are_taken_as_far_as_they_go(door: Door, page: str) -> None:
    """Invalid UTF-8, NUL and length do no harm anywhere."""
    path = path_of(door, page, claims(door)[page])
    answer = await door.client.post(path, content=b"score=5&comment=" + b"%00%ff%ed%a0%80" * 400 + b"&=&;&&shown_channel=%00", headers=FORM)
    assert answer.status_code == 200
    if page == "s":
        (event,) = await door.events()
        assert len(event.data["comment"]) <= 2_000
        assert "\0" not in event.data["comment"]
