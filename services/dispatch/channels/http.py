"""What providers' HTTP interfaces have in common: one client, bounded exchanges, and what a failed one means."""

import asyncio
import logging
import re
from datetime import timedelta
from typing import Any

import httpx
import msgspec

from services.dispatch.channels.port import Answer, Reject, Retry, Unknown

_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_OUR_FAULT = (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError)
FAILURES = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, TimeoutError)
"""Everything that `exchange` raises for one that failed."""
LONGEST_BODY = 256 * 1024
"""Bytes of an answer that are read; what follows is not waited for."""
LONG_HOLD = timedelta(minutes=1)
"""How long a channel rests when the provider does not know us: a person must act."""
_BOT_TOKEN = re.compile(r"/bot[^/\s\"']+")


class HideToken(logging.Filter):
    """Masks bot tokens in the request lines that httpx logs: Telegram has its secret in the path."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the line; let it pass."""
        record.msg = _BOT_TOKEN.sub("/bot***", record.getMessage())
        record.args = ()
        return True


def new_client(timeout: timedelta, concurrency: int) -> httpx.AsyncClient:
    """Return a client that follows no redirects and reads nothing from the environment."""
    logger = logging.getLogger("httpx")
    if not any(isinstance(each, HideToken) for each in logger.filters):
        logger.addFilter(HideToken())
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    return httpx.AsyncClient(
        timeout=timeout.total_seconds(),
        limits=limits,
        follow_redirects=False,
        trust_env=False,
        headers={"Accept-Encoding": "identity"},  # a small answer can't unfold into a large one
    )


def longest_exchange(timeout: timedelta) -> timedelta:
    """Return how long an exchange may take as a whole: time to connect, and as much again for everything after it."""
    return 2 * timeout


def patience_of(timeout: timedelta) -> timedelta:
    """Return a sender's patience: its exchange, and room to close the connection of one that was given up."""
    return longest_exchange(timeout) + timeout


async def exchange(client: httpx.AsyncClient, request: httpx.Request, within: timedelta) -> httpx.Response:
    """Send a request and read its answer, `within` that time and up to `LONGEST_BODY`. Raises one of `FAILURES`.

    The client's own timeouts hold for each read: a provider that sends a byte now and then would be waited for without end.
    """
    async with asyncio.timeout(within.total_seconds()):
        response = await client.send(request, stream=True)
        try:
            body = await _read(response)
        finally:
            await response.aclose()
    retry_after = response.headers.get("retry-after")
    return httpx.Response(response.status_code, content=body, headers={} if retry_after is None else {"retry-after": retry_after})


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LONGEST_BODY:
            break
    return bytes(body[:LONGEST_BODY])


def answer_to_failure(error: Exception) -> Answer:
    """Translate an exchange that failed. The text of the exception is left out: it may hold the URL, and with it a secret."""
    if isinstance(error, _NOTHING_SENT):
        return Retry(reason="connection_failed", scope="channel", detail=type(error).__name__)
    if isinstance(error, _OUR_FAULT):
        return Reject(reason="request_invalid", kind="config", detail=type(error).__name__)
    is_late = isinstance(error, (httpx.TimeoutException, TimeoutError))
    return Unknown(reason="timeout" if is_late else "answer_lost", detail=type(error).__name__)


def answer_to_status(response: httpx.Response) -> Answer | None:
    """Translate the statuses that mean the same everywhere; None where the body has the word."""
    status = response.status_code
    match status:
        case 401 | 407:
            return Retry(reason="unauthorized", after=LONG_HOLD, scope="channel", detail=f"HTTP {status}")
        case 429 | 503:
            return Retry(reason=f"http_{status}", after=_retry_after(response), scope="channel", detail=f"HTTP {status}")
        case _ if status >= 500:
            return Unknown(reason=f"http_{status}", detail="the provider failed after it had the request")
        case _ if 300 <= status < 400:
            return Reject(reason="redirected", kind="config", detail=f"HTTP {status}: redirects are not followed")
        case _:
            return None


def read_json(response: httpx.Response) -> Any:
    """Return the decoded body, None where it is no JSON."""
    try:
        return msgspec.json.decode(response.content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def point(document: Any, pointer: str) -> Any:
    """Return what a JSON pointer (RFC 6901) names in a document, None where there is nothing."""
    found = document
    for raw in pointer.split("/")[1:]:
        key = raw.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(key)
        elif isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    return found


def _retry_after(response: httpx.Response) -> timedelta | None:
    seconds = response.headers.get("retry-after", "")
    return timedelta(seconds=min(int(seconds), 86_400)) if seconds.isascii() and seconds.isdigit() else None
