"""Tokens of links: opaque, not to be forged, each for one purpose, still read after a change of secrets."""

import base64
import itertools
import string
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from services.consent.claims import Claim, ClickClaim, ConfirmationClaim, OpenClaim, PreferencesClaim, SurveyClaim, UnsubscribeClaim
from services.consent.tokens import LONGEST, TokenSigner
from services.contracts.errors import InvalidToken
from services.contracts.ids import Channel, CustomerId, MessageId

OLD, NEW, STRANGE = "old-" * 10, "new-" * 10, "strange-" * 5
ANN, EMAIL, MESSAGE = CustomerId("ann@shop.example"), Channel("email"), MessageId("6f1f6a52-5a0c-5b8e-9c0e-2f0a5e6f7d01")
NOON = datetime(2026, 3, 2, 12, 0, 0, 123_456, tzinfo=UTC)
CLAIM = UnsubscribeClaim(ANN, EMAIL, MESSAGE)
CLAIMS: list[Claim] = [
    CLAIM,
    ClickClaim(ANN, EMAIL, MESSAGE, 3, "https://shop.example/корзина?a=1&b=2#c", NOON),
    OpenClaim(ANN, EMAIL, MESSAGE, NOON),
    PreferencesClaim(ANN, EMAIL, MESSAGE, "ru"),
    SurveyClaim(ANN, EMAIL, MESSAGE, "nps", "en"),
    ConfirmationClaim(ANN, EMAIL, "ann@shop.example", MESSAGE, "ru", NOON),
]
OF_FERNET = b"\x93\xb0ann@shop.example\xa5email\xc0"
"""An unsubscribe claim of the first form, without a message, as MessagePack."""


def is_read(signer: TokenSigner, token: str, kind: type[Claim] = UnsubscribeClaim) -> bool:
    """Say whether a token is taken; a refusal must be `InvalidToken`."""
    try:
        signer.read(token, kind)
    except InvalidToken as error:
        assert error.code == "invalid_token"  # noqa: PT017 - the answer tells which were taken
        return False
    return True


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: type(claim).__name__)
def test_reads_back_what_it_signed(claim: Claim) -> None:
    """Every part of a claim comes back."""
    signer = TokenSigner([NEW])
    assert signer.read(signer.sign(claim), type(claim)) == claim


@given(customer=st.text(max_size=255), target=st.text(max_size=300), number=st.integers(0, 10_000), at=st.datetimes())
def test_reads_back_whatever_letters_there_are(customer: str, target: str, number: int, at: datetime) -> None:
    """Ids and addresses may hold any character, moments any microsecond."""
    signer = TokenSigner([NEW])
    claim = ClickClaim(CustomerId(customer), EMAIL, MESSAGE, number, target, at.replace(tzinfo=UTC))
    assert signer.read(signer.sign(claim), ClickClaim) == claim


@pytest.mark.parametrize(("made", "wanted"), list(itertools.permutations(CLAIMS, 2)), ids=lambda claim: type(claim).__name__)
def test_a_token_serves_one_purpose(made: Claim, wanted: Claim) -> None:
    """A token of one kind of link is refused by every other, however alike their claims are."""
    signer = TokenSigner([NEW])
    assert not is_read(signer, signer.sign(made), type(wanted))


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: type(claim).__name__)
def test_a_token_fits_into_a_url_and_is_opaque(claim: Claim) -> None:
    """Only letters, digits, - and _; short; neither the token nor its bytes show customer, address or target."""
    token = TokenSigner([NEW]).sign(claim)
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")
    assert len(token) < 220
    assert b"ann" not in raw
    assert b"shop" not in raw


def test_another_customer_has_another_token() -> None:
    """Of two customers' tokens no part can be put into the other's."""
    signer = TokenSigner([NEW])
    ann, bob = (signer.sign(UnsubscribeClaim(CustomerId(name), EMAIL, MESSAGE)) for name in ("ann", "bob"))
    mixed = [ann[:cut] + bob[cut:] for cut in range(1, len(ann))]
    assert [token for token in mixed if token not in {ann, bob} and is_read(signer, token)] == []


def test_secrets_can_be_changed_while_links_are_out() -> None:
    """The first secret signs; the others are still read; a dropped one no longer."""
    old_token = TokenSigner([OLD]).sign(CLAIM)
    both = TokenSigner([NEW, OLD])
    assert both.read(old_token, UnsubscribeClaim) == CLAIM
    assert TokenSigner([NEW]).read(both.sign(CLAIM), UnsubscribeClaim) == CLAIM
    assert not is_read(TokenSigner([NEW]), old_token)


def test_unsubscribe_links_of_the_first_form_are_still_read() -> None:
    """A Fernet token that is out unsubscribes for years, also after a change of secrets; it serves no other purpose."""
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"povod unsubscribe v1").derive(OLD.encode())
    token = Fernet(base64.urlsafe_b64encode(key)).encrypt_at_time(OF_FERNET, 0).decode().rstrip("=")
    both = TokenSigner([NEW, OLD])
    assert both.read(token, UnsubscribeClaim) == UnsubscribeClaim(ANN, EMAIL)
    assert not any(is_read(both, token, type(claim)) for claim in CLAIMS[1:])
    assert not is_read(TokenSigner([NEW]), token)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: type(claim).__name__)
def test_every_changed_letter_is_refused(claim: Claim) -> None:
    """Whichever letter is replaced or removed, or wherever it is cut, the token is no longer ours."""
    signer = TokenSigner([NEW])
    token = signer.sign(claim)
    forged = [token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :] for i in range(len(token))]
    forged += [token[:i] + token[i + 1 :] for i in range(len(token))]
    forged += [token[:i] for i in range(len(token))]
    assert [each for each in forged if is_read(signer, each, type(claim))] == []


@pytest.mark.parametrize("token", ["", "x", "!!!!", "é" * 20, "A" * 100, "A" * (LONGEST + 1), TokenSigner([STRANGE]).sign(CLAIM), "=" * 8])
@pytest.mark.parametrize("kind", [UnsubscribeClaim, ClickClaim])
def test_anything_else_is_refused_as_ours(token: str, kind: Any) -> None:
    """Rubbish, other alphabets, endless tokens and strangers' tokens are `InvalidToken`, no foreign error."""
    with pytest.raises(InvalidToken, match="not one of ours"):
        TokenSigner([NEW]).read(token, kind)


@pytest.mark.parametrize("suffix", ["=", "==", "\n", " ", "A", "!"])
def test_only_one_spelling_is_taken(suffix: str) -> None:
    """Padding, white space or letters behind a token make it another one."""
    signer = TokenSigner([NEW])
    assert not is_read(signer, signer.sign(CLAIM) + suffix)
