"""A signature proves for whom a browser speaks."""

import hashlib
import hmac

import pytest

from services.ingest.identity import identity_secret, is_signed, sign_customer

LINKS = "a link secret that is long enough for all"
SECRET = identity_secret(LINKS, "web")


def test_the_secret_belongs_to_the_key() -> None:
    """It is HMAC-SHA256 of the link secret over the key's name: 64 hex digits, another for each key."""
    assert hmac.new(LINKS.encode(), b"identity:web", hashlib.sha256).hexdigest() == SECRET
    assert identity_secret(LINKS, "app") != SECRET


def test_a_shop_signs_with_what_every_language_has() -> None:
    """The signature is hex HMAC-SHA256 of the id in UTF-8, keyed with the secret's text."""
    assert sign_customer(SECRET, "клиент 42") == hmac.new(SECRET.encode(), "клиент 42".encode(), "sha256").hexdigest()


@pytest.mark.parametrize("given", [None, "", "0" * 64, "подпись", "\ud83d", sign_customer(SECRET, "43"), sign_customer("other", "42")])
def test_a_wrong_signature_is_none(given: str | None) -> None:
    """Another customer's, another key's, or no signature at all does not pass, whatever it is made of."""
    assert is_signed([SECRET], "42", given) is False


def test_a_signature_of_any_secret_passes() -> None:
    """Old link secrets stay good; capitals and blanks around do no harm; without secrets nothing passes."""
    signature = sign_customer(SECRET, "42")
    assert is_signed(["newer", SECRET], "42", f" {signature.upper()}\n") is True
    assert is_signed([], "42", signature) is False
