"""How providers show that a callback is theirs."""

import base64
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import digest
from typing import Any

import pytest
from starlette.datastructures import Headers

from services.ingest.hooks.schemes import challenge_of, is_signed, knows_secret, message_id_in
from services.runtime.settings import HookSettings

SECRET = "a secret for tests"
BODY = b'{"id": "m-1", "status": "delivered"}'
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HMAC = digest(SECRET.encode(), BODY, sha256)


def hook(scheme: str, **more: Any) -> HookSettings:
    """Return a hook's settings."""
    return HookSettings.model_validate({"scheme": scheme, "secret": SECRET, **more})


def is_taken(settings: HookSettings, headers: dict[str, str], body: bytes = BODY, now: datetime = NOON) -> bool:
    """Say whether a request is the provider's, head and body."""
    known = Headers(headers)
    return knows_secret(settings, known) and is_signed(settings, known, body, now)


def mailgun(at: datetime, token: str = "t" * 50, secret: str = SECRET) -> bytes:
    """Return a signed body as Mailgun sends it."""
    stamp = str(int(at.timestamp()))
    signature = digest(secret.encode(), (stamp + token).encode(), sha256).hex()
    return json.dumps({"signature": {"timestamp": stamp, "token": token, "signature": signature}, "event-data": {"id": "x"}}).encode()


SIGNED: list[tuple[HookSettings, dict[str, str]]] = [
    (hook("hmac-sha256"), {"X-Signature": HMAC.hex()}),
    (hook("hmac-sha256", header="X-Sign", prefix="v1="), {"x-sign": "v1=" + HMAC.hex()}),
    (hook("hmac-sha256", encoding="base64"), {"X-Signature": base64.b64encode(HMAC).decode()}),
    (hook("meta"), {"X-Hub-Signature-256": "sha256=" + HMAC.hex()}),
    (hook("telegram"), {"X-Telegram-Bot-Api-Secret-Token": SECRET}),
    (hook("bearer"), {"Authorization": f"Bearer {SECRET}"}),
    (hook("basic", username="gate"), {"Authorization": "Basic " + base64.b64encode(f"gate:{SECRET}".encode()).decode()}),
]


@pytest.mark.parametrize(("settings", "headers"), SIGNED, ids=lambda value: getattr(value, "scheme", ""))
def test_a_providers_own_callback_is_taken(settings: HookSettings, headers: dict[str, str]) -> None:
    """What the provider signs as its manual says is taken."""
    assert is_taken(settings, headers)


@pytest.mark.parametrize(("settings", "headers"), SIGNED, ids=lambda value: getattr(value, "scheme", ""))
def test_everything_else_is_not(settings: HookSettings, headers: dict[str, str]) -> None:
    """No header, an empty, cut, longer, foreign or non-ASCII one: not the provider's."""
    ((name, value),) = headers.items()
    wrong = ["", value[:-1], value + "0", value.swapcase() + "x", "sha256=", "Bearer ", "Basic ", "ы" * 64, "0" * len(value)]
    assert not is_taken(settings, {})
    assert [each for each in wrong if is_taken(settings, {name: each.encode().decode("latin-1")})] == []


@pytest.mark.parametrize(("settings", "headers"), SIGNED[:4], ids=lambda value: getattr(value, "scheme", ""))
def test_a_signature_covers_the_bytes(settings: HookSettings, headers: dict[str, str]) -> None:
    """One byte more, less or other, even one that JSON does not mind, and the signature is another's."""
    assert not is_taken(settings, headers, BODY + b" ")
    assert not is_taken(settings, headers, BODY.replace(b"m-1", b"m-2"))
    assert not is_taken(settings, headers, b"")


def test_mailguns_signature_is_inside_and_ages() -> None:
    """Mailgun signs a time stamp and a token in the body; a day later, or from the future, it is a replay."""
    assert is_taken(hook("mailgun"), {}, mailgun(NOON))
    assert is_taken(hook("mailgun"), {}, mailgun(NOON - timedelta(hours=8)))
    assert not is_taken(hook("mailgun"), {}, mailgun(NOON - timedelta(hours=25)))
    assert not is_taken(hook("mailgun"), {}, mailgun(NOON + timedelta(hours=25)))
    assert not is_taken(hook("mailgun"), {}, mailgun(NOON, secret="another secret"))


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b'{"signature": 1}', b'{"signature": {"timestamp": "x"}}', b'{"signature": {"timestamp": "99999999999"}}',
        b'{"signature": {"timestamp": 1, "token": null}}', b"\xff", b"[" * 100_000,
        b'{"signature": {"timestamp": "' + b"9" * 5_000 + b'"}}',
    ],
)  # fmt: skip
def test_mailgun_rubbish_is_refused(body: bytes) -> None:
    """Nothing that is posted there raises."""
    assert not is_taken(hook("mailgun"), {}, body)


def test_metas_check_of_the_address() -> None:
    """The challenge is given back to who knows the verify token, of a hook of Meta's that has one; to nobody else."""
    asked = {"hub.mode": "subscribe", "hub.verify_token": "verify-me", "hub.challenge": "1158201444"}
    ours = hook("meta", verify_token="verify-me")
    assert challenge_of(ours, asked) == "1158201444"
    assert challenge_of(ours, {**asked, "hub.verify_token": "other"}) is None
    assert challenge_of(ours, {**asked, "hub.mode": "unsubscribe"}) is None
    assert challenge_of(hook("meta"), {**asked, "hub.verify_token": ""}) is None
    assert challenge_of(hook("telegram", verify_token="verify-me"), asked) is None


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("/id", "m-1"), ("/entry/0/statuses/1/id", "wamid.7"), ("/number", "42"), ("", ""), ("/none", ""), ("/entry/9", ""), ("/entry", ""),
        ("/a~1b", "slash"), ("/flag", ""), ("/entry/0/statuses/x", ""),
    ],
)  # fmt: skip
def test_the_providers_id_is_found(pointer: str, found: str) -> None:
    """A JSON pointer leads to the id, through lists too; where there is none, there is no key."""
    body = {"id": "m-1", "number": 42, "a/b": "slash", "flag": True, "entry": [{"statuses": [{}, {"id": "wamid.7"}]}]}
    assert message_id_in(json.dumps(body).encode(), pointer) == found
    assert message_id_in(b"\xff", pointer) == ""
