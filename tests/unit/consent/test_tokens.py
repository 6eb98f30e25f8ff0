"""Unsubscribe tokens: opaque, not to be forged, still read after a change of secrets."""

import base64
import string

import pytest

from services.consent.tokens import LONGEST, TokenSigner, UnsubscribeClaim
from services.contracts.errors import InvalidToken
from services.contracts.ids import Channel, CustomerId, MessageId

OLD, NEW, STRANGE = "old-" * 10, "new-" * 10, "strange-" * 5
CLAIM = UnsubscribeClaim(CustomerId("ann@shop.example"), Channel("email"), MessageId("6f1f6a52-5a0c-5b8e-9c0e-2f0a5e6f7d01"))


def test_reads_back_what_it_signed() -> None:
    """Every part of the claim comes back, whatever letters a customer's id has."""
    signer = TokenSigner([NEW])
    odd = UnsubscribeClaim(CustomerId("Жанна\x00/ü?&=%"), Channel("sms"), None, "news")
    assert [signer.read(signer.sign(claim)) for claim in (CLAIM, odd)] == [CLAIM, odd]


def test_a_token_fits_into_a_url() -> None:
    """Only letters, digits, - and _; short enough for a header line."""
    token = TokenSigner([NEW]).sign(CLAIM)
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")
    assert len(token) < 300


def test_a_token_is_opaque() -> None:
    """Neither the token nor its bytes show the customer, and two of the same claim differ."""
    signer = TokenSigner([NEW])
    token = signer.sign(CLAIM)
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert b"ann" not in raw
    assert signer.sign(CLAIM) != token


def test_secrets_can_be_changed_while_links_are_out() -> None:
    """The first secret signs; the others are still read; a dropped one no longer."""
    old_token = TokenSigner([OLD]).sign(CLAIM)
    both = TokenSigner([NEW, OLD])
    assert both.read(old_token) == CLAIM
    assert TokenSigner([NEW]).read(both.sign(CLAIM)) == CLAIM
    with pytest.raises(InvalidToken):
        TokenSigner([NEW]).read(old_token)


def test_every_changed_letter_is_refused() -> None:
    """Whichever letter is replaced, removed or added, the token is no longer ours."""
    signer = TokenSigner([NEW])
    token = signer.sign(CLAIM)
    forged = [token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :] for i in range(len(token))]
    forged += [token[:i] + token[i + 1 :] for i in range(len(token))]
    accepted = []
    for each in forged:
        try:
            accepted.append(signer.read(each))
        except InvalidToken as error:
            assert error.code == "invalid_token"  # noqa: PT017 - the loop tells which were accepted
    assert accepted == []


@pytest.mark.parametrize("token", ["", "x", "!!!!", "é" * 20, "A" * 100, "A" * (LONGEST + 1), TokenSigner([STRANGE]).sign(CLAIM), "=" * 8])
def test_anything_else_is_refused_as_ours(token: str) -> None:
    """Rubbish, other alphabets, endless tokens and strangers' tokens are `InvalidToken`, no foreign error."""
    with pytest.raises(InvalidToken, match="not one of ours"):
        TokenSigner([NEW]).read(token)


@pytest.mark.parametrize("suffix", ["=", "==", "\n", " ", "A", "!"])
def test_only_one_spelling_is_taken(suffix: str) -> None:
    """Padding, white space or letters behind a token make it another one."""
    signer = TokenSigner([NEW])
    with pytest.raises(InvalidToken):
        signer.read(signer.sign(CLAIM) + suffix)
