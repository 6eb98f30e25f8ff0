"""Unsubscribe tokens: signed and opaque, so that a link shows nobody who it is about and nobody can make one for another.

A Fernet token (AES-128-CBC, HMAC-SHA256 compared in constant time; https://github.com/fernet/spec) without padding, its key derived by
HKDF (RFC 5869) from the link secret for this one purpose. Why so: `docs/adr/0004-unsubscribe-tokens.md`.
"""

import base64
import binascii
from collections.abc import Sequence

import msgspec
from cryptography.fernet import Fernet, MultiFernet
from cryptography.fernet import InvalidToken as ForeignInvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.consent.ledger import ALL_TOPICS
from services.contracts.errors import InvalidToken
from services.contracts.ids import Channel, CustomerId, MessageId

_PURPOSE = b"povod unsubscribe v1"
_NO_TIME = 0
"""Fernet's time stamp is in the clear and links never run out: none is given."""
LONGEST = 4_096
"""Characters of a token that are looked at; ours are about 160."""


class UnsubscribeClaim(msgspec.Struct, frozen=True, array_like=True):
    """What a token says: this customer, through the link in this message, wants no more of this channel (and topic)."""

    customer: CustomerId
    channel: Channel
    message_id: MessageId | None = None
    topic: str = ALL_TOPICS


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(UnsubscribeClaim)


class TokenSigner:
    """Signs with the first of the secrets and reads tokens of any of them, so that a secret can be changed while links are out."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._fernet = MultiFernet([_fernet(secret) for secret in secrets])

    def sign(self, claim: UnsubscribeClaim) -> str:
        """Return a token of the claim: letters, digits, `-` and `_` only; another one each time."""
        return self._fernet.encrypt_at_time(_encoder.encode(claim), _NO_TIME).decode().rstrip("=")

    def read(self, token: str) -> UnsubscribeClaim:
        """Return the claim; raises `InvalidToken` on anything that `sign` has not made with one of the secrets."""
        try:
            return _decoder.decode(self._fernet.decrypt(_padded(token)))
        except (ForeignInvalidToken, msgspec.DecodeError) as error:
            raise _refusal() from error


def _padded(token: str) -> bytes:
    """Return the token as Fernet wants it; only its one canonical spelling is taken."""
    try:
        padded = token[:LONGEST].encode("ascii") + b"=" * (-len(token) % 4)
        if "=" not in token and len(token) <= LONGEST and base64.urlsafe_b64encode(base64.urlsafe_b64decode(padded)) == padded:
            return padded
    except (UnicodeEncodeError, binascii.Error) as error:
        raise _refusal() from error
    raise _refusal()


def _refusal() -> InvalidToken:
    return InvalidToken("this link is not one of ours, or was cut short", code="invalid_token")


def _fernet(secret: str) -> Fernet:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret.encode())
    return Fernet(base64.urlsafe_b64encode(key))
