"""Errors and their HTTP statuses."""

import pytest

from services.contracts.errors import (
    DatabaseUnavailable,
    Fenced,
    InvalidEvent,
    InvalidToken,
    LogUnavailable,
    PovodError,
    Rejected,
)
from services.ingest.refusals import STATUS, RequestRefused, body_of, refusal_of, status_of


@pytest.mark.parametrize(
    ("error", "status", "code", "retry_after"),
    [
        (LogUnavailable("gone"), 503, "log_unavailable", 1),
        (DatabaseUnavailable("gone"), 503, "database_unavailable", 1),
        (InvalidEvent("bad", code="invalid_json"), 400, "invalid_json", None),
        (InvalidToken("bad", code="invalid_token"), 404, "invalid_token", None),
        (Rejected("bad", code="whatever"), 400, "bad_request", None),
        (RequestRefused("rate_limited", "slow", retry_after=7), 429, "rate_limited", 7),
        (Fenced("mine"), 500, "internal_error", None),
    ],
)
def test_errors_have_their_status(error: PovodError, status: int, code: str, retry_after: int | None) -> None:
    """Each error that Povod raises on purpose has one status, one code, and a Retry-After where another try may help."""
    refused = refusal_of(error)
    assert (status_of(refused), refused.code, refused.retry_after) == (status, code, retry_after)


def test_a_code_without_a_status_is_our_mistake() -> None:
    """A code that is not in the table is answered with 500."""
    assert status_of(RequestRefused("never_heard_of", "")) == 500


def test_what_may_be_tried_again_says_so() -> None:
    """The 503s of the table are those that SDKs send again; nothing else in it is a 5xx but our own mistake."""
    assert {code for code, status in STATUS.items() if status >= 500} == {
        "internal_error",
        "overloaded",
        "keys_unavailable",
        "log_unavailable",
        "database_unavailable",
    }


def test_bodies_suit_every_sdk() -> None:
    """Every error has `success`, `code`, `message` and `detail`: each SDK reads another of them."""
    body = body_of(RequestRefused("unauthorized", "no key"))
    assert (body.success, body.code, body.message, body.detail) == (False, "unauthorized", "no key", "no key")
