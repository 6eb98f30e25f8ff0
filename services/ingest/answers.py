"""Write an answer with nothing between us and ASGI: JSON, `Retry-After`, and a kind end for a connection whose body was not read."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import timedelta
from typing import Any

import msgspec
from starlette.responses import Response

from services.ingest.body import Receive
from services.ingest.doors.port import JSON, Answer
from services.ingest.refusals import RequestRefused, body_of, status_of

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_CLOSE = (b"connection", b"close")
_UNREAD = frozenset({"payload_too_large", "request_timeout", "unauthorized", "rate_limited", "overloaded", "keys_unavailable"})
"""Refusals that may leave a body unread: then the connection can't be used again."""
_LINGER_FOR = timedelta(seconds=1)
_LINGER_BYTES = 8 * 1024 * 1024
_encoder = msgspec.json.Encoder()


def refusal(refused: RequestRefused) -> Answer:
    """Return the answer to a request that is not taken, as all doors word it that have no words of their own."""
    headers: list[tuple[bytes, bytes]] = []
    if refused.retry_after is not None:
        headers.append((b"retry-after", b"%d" % refused.retry_after))
    if refused.allow:
        headers.append((b"allow", refused.allow.encode()))
    if refused.code == "unauthorized":
        headers.append((b"www-authenticate", b'Bearer realm="povod"'))
    return Answer(status_of(refused), JSON, _encoder.encode(body_of(refused)), tuple(headers))


async def send_answer(send: Send, answer: Answer) -> None:
    """Answer a request that was read to its end."""
    await _start(send, answer)
    await send({"type": "http.response.body", "body": answer.body})


async def send_refusal(receive: Receive, send: Send, refused: RequestRefused, answer: Answer) -> None:
    """Answer a request that is refused.

    Where it may not be read to its end, the answer goes out at once and the rest of the request is thrown away for a while before the
    connection is closed: a client that is still sending would else meet a reset instead of the answer.
    """
    is_unread = refused.code in _UNREAD
    await _start(send, answer, *((_CLOSE,) if is_unread else ()))
    await send({"type": "http.response.body", "body": answer.body, "more_body": is_unread})
    if is_unread:
        await _drain(receive)
        await send({"type": "http.response.body", "body": b""})


async def _start(send: Send, answer: Answer, *more: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": [*answer.fields, *more]})


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
    return Response(_encoder.encode(body_of(refused)), status_of(refused), headers, JSON.decode())
