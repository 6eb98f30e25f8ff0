"""Tokens of links: signed and opaque, so that a link shows nobody who it is about and nobody can make one for another.

A token is the MessagePack of a claim under AES-SIV (RFC 5297: encrypted, and authenticated in constant time), in base64url without
padding; its key is derived by HKDF (RFC 5869) from the link secret for the claim's one purpose, so that no token serves two. Tokens of
one claim are equal. Why so: `docs/adr/0009-link-tokens.md`. Unsubscribe links made before that are Fernet tokens, and are still read.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, MultiFernet
from cryptography.fernet import InvalidToken as ForeignInvalidToken
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.consent.claims import Claim, ClickClaim, ConfirmationClaim, OpenClaim, PreferencesClaim, SurveyClaim, UnsubscribeClaim
from services.contracts.errors import InvalidToken

LONGEST = 4_096
"""Characters of a token that are looked at; ours are about 130, and longer by the link's target."""
_PURPOSES: Mapping[type[msgspec.Struct], bytes] = {
    UnsubscribeClaim: b"povod unsubscribe v2",
    ClickClaim: b"povod click v1",
    OpenClaim: b"povod open v1",
    PreferencesClaim: b"povod preferences v1",
    SurveyClaim: b"povod survey v1",
    ConfirmationClaim: b"povod confirmation v1",
}
"""Never change one: links that are out hang on it."""
_FERNET_PURPOSE = b"povod unsubscribe v1"
_KEY_BYTES = 64
"""AES-256-SIV takes two keys of 256 bits."""
_ClaimT = TypeVar("_ClaimT", bound=Claim)

_encoder = msgspec.msgpack.Encoder()
_decoders: Mapping[type[msgspec.Struct], msgspec.msgpack.Decoder[Any]] = {kind: msgspec.msgpack.Decoder(kind) for kind in _PURPOSES}


class TokenSigner:
    """Signs with the first of the secrets and reads tokens of any of them, so that a secret can be changed while links are out."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = {kind: [AESSIV(_derived(secret, purpose, _KEY_BYTES)) for secret in secrets] for kind, purpose in _PURPOSES.items()}
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(_derived(secret, _FERNET_PURPOSE, 32))) for secret in secrets])

    def sign(self, claim: Claim) -> str:
        """Return the token of the claim: letters, digits, `-` and `_` only."""
        sealed = self._keys[type(claim)][0].encrypt(_encoder.encode(claim), None)
        return binascii.b2a_base64(sealed, newline=False).translate(_TO_URL, b"=").decode("ascii")

    def read(self, token: str, kind: type[_ClaimT]) -> _ClaimT:
        """Return the claim; raises `InvalidToken` on anything that `sign` has not made of such a claim with one of the secrets."""
        try:
            claim = _decoders[kind].decode(self._opened(_bytes_of(token), kind))
        except msgspec.DecodeError as error:
            raise _refusal() from error
        if not isinstance(claim, kind):
            raise _refusal()
        return claim

    def _opened(self, sealed: bytes, kind: type[msgspec.Struct]) -> bytes:
        for key in self._keys[kind]:
            try:
                return key.decrypt(sealed, None)
            except (InvalidTag, ValueError):
                continue
        return self._opened_fernet(sealed) if kind is UnsubscribeClaim else _refuse()

    def _opened_fernet(self, sealed: bytes) -> bytes:
        try:
            return self._fernet.decrypt(base64.urlsafe_b64encode(sealed))
        except ForeignInvalidToken:
            return _refuse()


_TO_URL = bytes.maketrans(b"+/", b"-_")


def _bytes_of(token: str) -> bytes:
    """Return the token's bytes; only its one canonical spelling is taken."""
    try:
        padded = token[:LONGEST].encode("ascii") + b"=" * (-len(token) % 4)
        raw = base64.urlsafe_b64decode(padded)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise _refusal() from error
    if not raw or "=" in token or len(token) > LONGEST or base64.urlsafe_b64encode(raw) != padded:
        raise _refusal()
    return raw


def _refuse() -> bytes:
    raise _refusal()


def _refusal() -> InvalidToken:
    return InvalidToken("this link is not one of ours, or was cut short", code="invalid_token")


def _derived(secret: str, purpose: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=purpose).derive(secret.encode())
