"""Identity verification for keys that anybody may read: a signature that only the shop's server can make proves whom a browser speaks for.

    signature = hex(HMAC-SHA256(key's identity secret, customer id))

as Intercom's identity verification and Customer.io's do it. The identity secret of a key is made from the link secret and the key's
name, so that nothing more has to be kept, and is renewed with the link secret (old ones of the list stay good).
"""

import hashlib
import hmac
from collections.abc import Sequence


def identity_secret(link_secret: str, key_name: str) -> str:
    """Return the secret, 64 hex digits, with which a shop's server signs its customers' ids for the key of that name."""
    return _hmac(link_secret.encode(), f"identity:{key_name}").hex()


def sign_customer(secret: str, customer: str) -> str:
    """Return the signature of a customer id: hex HMAC-SHA256, the secret taken as its text."""
    return _hmac(secret.encode(), customer).hex()


def is_signed(secrets: Sequence[str], customer: str, signature: str | None) -> bool:
    """Say whether one of the secrets has signed this customer id; each is compared in constant time."""
    given = (signature or "").strip().lower().encode("utf-8", "replace")
    return any(hmac.compare_digest(sign_customer(secret, customer).encode(), given) for secret in secrets)


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
