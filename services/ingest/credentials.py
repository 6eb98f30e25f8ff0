"""The write key of a request: `Authorization: Bearer KEY`, or Basic with the key as user (RFC 7617), as most SDKs send it."""

import base64
import binascii

from services.ingest.refusals import RequestRefused

NO_KEY = "send a write key: Authorization: Bearer KEY, or Basic with the key as user"
"""What whoever sent none is told."""


def secret_of(authorization: bytes | None, otherwise: str = NO_KEY) -> str:
    """Return the key that a request names; raises `RequestRefused` (401) where it names none, and says `otherwise`."""
    scheme, _, value = (authorization or b"").strip().partition(b" ")
    match scheme.lower():
        case b"bearer":
            secret = value.strip()
        case b"basic":
            secret = _user_of(value.strip())
        case _:
            secret = b""
    if not secret:
        raise RequestRefused("unauthorized", otherwise)
    return secret.decode("latin-1")


def _user_of(value: bytes) -> bytes:
    """Return the user of Basic credentials; the password is left empty by everyone, and is not looked at."""
    try:
        return base64.b64decode(value, validate=True).partition(b":")[0]
    except binascii.Error:
        return b""
