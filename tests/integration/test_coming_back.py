"""The whole circle, on each engine: a mail goes out, its links come back, and the rules know."""

import email
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from hashlib import sha256
from hmac import digest
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from services.runtime.clock import FrozenClock
from services.runtime.settings import HookSettings, Settings
from tests.live import ENGINES, Live, engine_settings, live, post

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PUBLIC_URL = "https://go.shop.example"
TARGET = "https://shop.example/cart?a=1&b=2"
PERSON = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36"}
SECRET = "a secret of the gateway"
FILES = {
    "rules/journeys/hello.yaml": "journey: hello\nwhy: You came.\ntrigger: {event: customer.registered}\n"
    "steps:\n  - {send: hello, kind: regular, channels: [email]}\n",
    "rules/policy.yaml": "timezone: {default: UTC}\nconsent: {email: opt_in}\n",
    "templates/hello/email/en/subject.txt": "Hello",
    "templates/hello/email/en/body.txt": "{{ unsubscribe_url }}",
    "templates/hello/email/en/body.html": '<body><a href="https://shop.example/cart?a=1&amp;b=2">Cart</a>'
    ' <a href="{{ preferences_url }}">Settings</a>'
    ' <a href="{{ survey_url("nps", 9) }}">9</a></body>',
}
ANN: dict[str, object] = {
    "type": "customer.registered",
    "customer": "ann",
    "id": "hello",
    "time": START.isoformat(),
    "data": {"email": "ann@shop.example", "language": "en", "consent": {"email": True}},
}


@pytest.fixture(params=ENGINES)
async def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Return settings of each engine, on empty logs and databases."""
    hooks = {"gate": HookSettings.model_validate({"scheme": "hmac-sha256", "secret": SECRET})}
    return await engine_settings(request, tmp_path, public_url=PUBLIC_URL, hooks=hooks)


def write_project(folder: Path) -> None:
    """Write a rule set of one mail with links."""
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")


def the_mail(folder: Path) -> str:
    """Return the HTML of the one mail that arrived."""
    (file,) = (folder / "mails").glob("*.eml")
    mail = email.message_from_bytes(file.read_bytes(), _class=EmailMessage, policy=default)
    part = mail.get_body(("html",))
    assert part is not None
    return str(part.get_content())


def path_to(html: str, page: str) -> str:
    """Return the path of the mail's link to a page."""
    found = re.search(rf'"{PUBLIC_URL}(/{page}/[^"]+)"', html)
    assert found is not None
    return found[1]


async def told(running: Live) -> Sequence[dict[str, Any]]:
    """Return what the rules have decided about Ann so far: the events of her history, in order, but for her first."""
    await running.stepper.settle()
    async with running.chassis.database.reading() as connection:
        rows = await connection.execute(text("SELECT payload FROM history WHERE customer = 'ann' AND kind = 'event' ORDER BY seq"))
        return [json.loads(row.payload) for row in rows]


@pytest.mark.timeout(300)
async def test_a_mails_links_come_back_to_the_rules(settings: Settings, tmp_path: Path) -> None:
    """Opened, clicked, answered, "less often": each is in the customer's history; and a provider's callback is on its topic."""
    write_project(tmp_path)
    clock = FrozenClock(START)
    async with live(settings, clock, tmp_path / "rules", tmp_path / "templates") as running:
        await post(running, clock, START, [ANN])
        await running.stepper.settle()
        html = the_mail(tmp_path)
        await running.stepper.advance_to(START + timedelta(minutes=5))
        picture = await running.http.get(path_to(html, "o"), headers=PERSON)
        click = await running.http.get(path_to(html, "c"), headers=PERSON, follow_redirects=False)
        answer = await running.http.post(path_to(html, "s").partition("?")[0], data={"score": "9"}, headers=PERSON)
        saved = await running.http.post(
            path_to(html, "p"), data={"shown_channel": "email", "channel": "email", "frequency": "less"}, headers=PERSON
        )
        body = b'{"id": "x"}'
        hook = await running.http.post("/hooks/gate", content=body, headers={"x-signature": digest(SECRET.encode(), body, sha256).hex()})
        history = await told(running)
    assert [each.status_code for each in (picture, click, answer, saved, hook)] == [200, 302, 200, 200, 200]
    assert click.headers["location"] == TARGET
    found = {event["type"]: event["data"] for event in history}
    assert found["message.clicked"]["url"] == TARGET
    assert found["message.opened"]["prefetched"] is False
    assert found["survey.answered"]["score"] == 9
    assert found["povod.preferences"] == {"frequency": "less"}
    assert len({data["message_id"] for name, data in found.items() if name in {"message.sent", "message.clicked", "message.opened"}}) == 1
