"""Write an answer with nothing between us and ASGI: JSON, `Retry-After`, and a kind end for a connection whose body was not read."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import msgspec
from starlette.responses import Response

from services.ingest.body import Receive
from services.ingest.protocol import ANSWER
from services.ingest.refusals import RequestRefused, body_of, status_of

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_JSON = (b"content-type", b"application/json")
_CLOSE = (b"connection", b"close")
_UNREAD = frozenset({"payload_too_large", "request_timeout", "unauthorized", "rate_limited", "overloaded", "keys_unavailable"})
"""Refusals that may leave a body unread: then the connection can't be used again."""
_LINGER_FOR = timedelta(seconds=1)
_LINGER_BYTES = 8 * 1024 * 1024
_NONE: Mapping[str, Any] = MappingProxyType({})
_encoder = msgspec.json.Encoder()


async def send_json(scope: Scope, send: Send, body: bytes) -> None:
    """Answer 200 with JSON, by the server's shortest way."""
    answer = scope.get("extensions", _NONE).get(ANSWER)
    if answer is None or not answer(body):
        await send({"type": "http.response.start", "status": 200, "headers": [_JSON, (b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


async def send_refusal(receive: Receive, send: Send, refused: RequestRefused) -> None:
    """Answer with an error's body.

    Where the request may not be read to its end, the answer goes out at once and the rest of the request is thrown away for a while
    before the connection is closed: a client that is still sending would else meet a reset instead of the answer.
    """
    body = _encoder.encode(body_of(refused))
    headers = [_JSON, (b"content-length", b"%d" % len(body))]
    if refused.retry_after is not None:
        headers.append((b"retry-after", b"%d" % refused.retry_after))
    if refused.code == "unauthorized":
        headers.append((b"www-authenticate", b'Bearer realm="povod"'))
    is_unread = refused.code in _UNREAD
    if is_unread:
        headers.append(_CLOSE)
    await send({"type": "http.response.start", "status": status_of(refused), "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": is_unread})
    if is_unread:
        await _drain(receive)
        await send({"type": "http.response.body", "body": b""})


async def _drain(receive: Receive) -> None:
    left = _LINGER_BYTES
    try:
        async with asyncio.timeout(_LINGER_FOR.total_seconds()):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def refusal_response(refused: RequestRefused) -> Response:
    """Return the same error for routes of FastAPI."""
    headers = {} if refused.retry_after is None else {"retry-after": str(refused.retry_after)}
    return Response(_encoder.encode(body_of(refused)), status_of(refused), headers, "application/json")
