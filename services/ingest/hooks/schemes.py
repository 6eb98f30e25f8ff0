"""How providers show that a callback is theirs. Every secret and signature is compared in constant time, over the bytes that came.

hmac-sha256  a header with the HMAC of the body, in hex or base64, after a prefix
meta         the same as WhatsApp and Messenger do it: `X-Hub-Signature-256: sha256=<hex>`
             (https://developers.facebook.com/docs/graph-api/webhooks/getting-started)
telegram     `X-Telegram-Bot-Api-Secret-Token: <secret>` (https://core.telegram.org/bots/api#setwebhook)
mailgun      HMAC of time stamp and token inside the JSON; it does not cover the rest, so that a day is all it is good for
             (https://documentation.mailgun.com/docs/mailgun/user-manual/events/webhooks)
basic        `Authorization: Basic` with user and secret       bearer       `Authorization: Bearer <secret>`
"""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest, digest
from typing import Any

from services.runtime.settings import HookSettings

MAILGUN_WITHIN = timedelta(days=1)
"""Mailgun tries again for eight hours; an older time stamp is a replay."""
_META_HEADER, _META_PREFIX = "X-Hub-Signature-256", "sha256="
_TELEGRAM_HEADER = "X-Telegram-Bot-Api-Secret-Token"
_LONGEST_ID = 255


def knows_secret(hook: HookSettings, headers: Mapping[str, str]) -> bool:
    """Say whether the head of a request lets its body be read: the secret where it stands there, else that a signature is there."""
    secret = hook.secret.get_secret_value()
    match hook.scheme:
        case "telegram":
            return _same(headers.get(_TELEGRAM_HEADER, ""), secret)
        case "bearer":
            return _same(headers.get("Authorization", ""), f"Bearer {secret}")
        case "basic":
            return _same(headers.get("Authorization", ""), f"Basic {base64.b64encode(f'{hook.username}:{secret}'.encode()).decode()}")
        case "meta":
            return headers.get(_META_HEADER, "").startswith(_META_PREFIX)
        case "hmac-sha256":
            return headers.get(hook.header, "").startswith(hook.prefix)
    return True


def is_signed(hook: HookSettings, headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Say whether the body, as it came, is the provider's; `knows_secret` has said yes of its head."""
    key = hook.secret.get_secret_value().encode()
    match hook.scheme:
        case "meta":
            return _is_hmac(key, body, headers.get(_META_HEADER, "").removeprefix(_META_PREFIX), "hex")
        case "hmac-sha256":
            return _is_hmac(key, body, headers.get(hook.header, "").removeprefix(hook.prefix), hook.encoding)
        case "mailgun":
            return _is_mailguns(key, body, now)
    return True


def challenge_of(hook: HookSettings, query: Mapping[str, str]) -> str | None:
    """Return what Meta's check of an address wants to hear, None where the check is not Meta's, or not for us."""
    wanted = hook.verify_token.get_secret_value()
    is_asked = hook.scheme == "meta" and query.get("hub.mode") == "subscribe" and bool(wanted)
    return query.get("hub.challenge", "")[:_LONGEST_ID] if is_asked and _same(query.get("hub.verify_token", ""), wanted) else None


def message_id_in(body: bytes, pointer: str) -> str:
    """Return the provider's id of the message at a JSON pointer (RFC 6901), nothing where there is none."""
    found = _parsed(body) if pointer else None
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdecimal() and len(name) < 5 and int(name) < len(found):
            found = found[int(name)]
        else:
            found = found.get(name) if isinstance(found, dict) else None
    return str(found)[:_LONGEST_ID] if isinstance(found, (str, int)) and not isinstance(found, bool) else ""


def _same(given: str, wanted: str) -> bool:
    return compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def _is_hmac(key: bytes, message: bytes, signature: str, encoding: str) -> bool:
    try:
        given = binascii.unhexlify(signature) if encoding == "hex" else base64.b64decode(signature, validate=True)
    except ValueError:
        return False
    return compare_digest(given, digest(key, message, sha256))


def _is_mailguns(key: bytes, body: bytes, now: datetime) -> bool:
    posted = _parsed(body)
    signed = posted.get("signature") if isinstance(posted, dict) else None
    if not isinstance(signed, dict):
        return False
    stamp, token, signature = (str(signed.get(name, "")) for name in ("timestamp", "token", "signature"))
    if not stamp.isdecimal() or len(stamp) > 11:
        return False
    is_fresh = abs(now - datetime.fromtimestamp(int(stamp), UTC)) <= MAILGUN_WITHIN
    return _is_hmac(key, (stamp + token).encode("utf-8", "replace"), signature, "hex") and is_fresh


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
