"""Why a whole request is refused, and with which status: the one table from error codes to HTTP."""

from types import MappingProxyType

import msgspec

from services.contracts.errors import DatabaseUnavailable, InvalidEvent, InvalidToken, LogUnavailable, PovodError, Rejected

STATUS = MappingProxyType(
    {
        "invalid_json": 400,
        "too_deep": 400,
        "empty_batch": 400,
        "invalid_gzip": 400,
        "bad_request": 400,
        "unauthorized": 401,
        "wrong_scope": 403,
        "origin_not_allowed": 403,
        "not_found": 404,
        "invalid_token": 404,
        "method_not_allowed": 405,
        "request_timeout": 408,
        "payload_too_large": 413,
        "batch_too_large": 413,
        "unsupported_encoding": 415,
        "unsupported_media_type": 415,
        "rate_limited": 429,
        "internal_error": 500,
        "not_supported": 400,
        "overloaded": 503,
        "keys_unavailable": 503,
        "log_unavailable": 503,
        "database_unavailable": 503,
    }
)
"""Error codes and their status; a code that is not here is a mistake of ours, answered 500."""
RETRY_AFTER = 1
"""Seconds after which a 503 may be tried again."""


class RequestRefused(PovodError):  # noqa: N818 - named like the tree it grows on
    """A request that is not taken; `code` is a key of `STATUS`, `retry_after` whole seconds where another try may succeed.

    `allow` are the methods that a path takes, for who asked with another (RFC 9110, 15.5.6).
    `key` is the name of the write key where it was known already: what is counted and shown to developers names it.
    """

    def __init__(self, code: str, message: str, *, retry_after: int | None = None, allow: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.allow = allow
        self.key = ""


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every error; SDKs of others read `code` and `message`, some `detail`."""

    success: bool = False
    code: str
    message: str
    detail: str


def refusal_of(error: PovodError) -> RequestRefused:
    """Return what a request is told of an error that Povod raised on purpose."""
    match error:
        case RequestRefused():
            return error
        case LogUnavailable():
            return RequestRefused("log_unavailable", "the event log did not acknowledge; send the same again", retry_after=RETRY_AFTER)
        case DatabaseUnavailable():
            return RequestRefused("database_unavailable", "the database does not answer; try again", retry_after=RETRY_AFTER)
        case InvalidEvent() | InvalidToken():
            return RequestRefused(error.code, error.message)
        case Rejected():
            return RequestRefused("bad_request", error.message)
    return RequestRefused("internal_error", "something went wrong on our side")


def status_of(refused: RequestRefused) -> int:
    """Return the HTTP status of a refusal."""
    return STATUS.get(refused.code, 500)


def body_of(refused: RequestRefused) -> ErrorBody:
    """Return the JSON body of a refusal."""
    return ErrorBody(code=refused.code, message=refused.message, detail=refused.message)
