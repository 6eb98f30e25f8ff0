"""Another ingest as the target of a file: its events are posted, and judged there."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import httpx
import msgspec

from services.contracts.errors import LogUnavailable, Rejected
from services.contracts.incoming import Incoming, Item, Unreadable
from services.ingest.files.targets import NotNowError, persistently
from services.ingest.judge import Result

MOST_POSTED = 500
"""Events in one request; halved where the other side finds that too much."""
_AGAIN = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


class HttpTarget:
    """Posts to a running ingest, which judges; what could not even be read is judged here."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        """`http` is bound to the ingest's address and carries a server key."""
        self._http = http
        self._most = MOST_POSTED

    async def take(self, items: Sequence[Item]) -> Sequence[Result]:
        """Post in requests that the other side takes."""
        results = [_unreadable(item) if isinstance(item, Unreadable) else None for item in items]
        open_places = [index for index, found in enumerate(results) if found is None]
        while open_places:
            now, open_places = open_places[: self._most], open_places[self._most :]
            for index, found in zip(now, await self._post([items[index] for index in now]), strict=True):
                results[index] = found
        return [found for found in results if found is not None]

    async def _post(self, items: Sequence[Item]) -> Sequence[Result]:
        answer = await persistently(lambda: self._send(_body(items)))
        if answer.status_code == HTTPStatus.OK:
            return _results_of(answer, len(items))
        if answer.status_code != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise Rejected(f"{answer.url} answered {answer.status_code}: {_message(answer)}", code="import_refused")
        if len(items) == 1:
            return [Result(index=0, status="rejected", code="payload_too_large", message=_message(answer), pointer="")]
        half = self._most = max(len(items) // 2, 1)
        return [*await self._post(items[:half]), *await self._post(items[half:])]

    async def _send(self, body: bytes) -> httpx.Response:
        try:
            answer = await self._http.post("/v1/events", content=body)
        except httpx.TransportError as error:
            raise LogUnavailable(f"{self._http.base_url} can't be reached: {error}") from error
        if answer.status_code in _AGAIN or answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise NotNowError(f"{answer.url} answered {answer.status_code}: {_message(answer)}", answer.headers.get("retry-after", ""))
        return answer


def _body(items: Sequence[Item]) -> bytes:
    """Return items as JSON; what msgspec refuses (a lone surrogate) goes out escaped, for the other side to clean."""
    batch = {"batch": [_fields(item) for item in items]}
    try:
        return msgspec.json.encode(batch)
    except (msgspec.MsgspecError, ValueError, OverflowError):
        return json.dumps(batch, default=str).encode()


def _fields(item: Item) -> Any:
    if not isinstance(item, Incoming):
        return item
    return {name: value for name, value in msgspec.structs.asdict(item).items() if value is not None}


def _unreadable(item: Unreadable) -> Result:
    return Result(index=0, status="rejected", code=item.error.code, message=item.error.message, pointer=item.error.pointer)


def _results_of(answer: httpx.Response, wanted: int) -> Sequence[Result]:
    """Return a good answer's results, one an item; raises `Rejected` where whoever answers is no ingest."""
    try:
        results = msgspec.convert(answer.json()["results"], list[Result])
    except (msgspec.MsgspecError, ValueError, LookupError, TypeError):
        results = []
    if len(results) != wanted:
        raise Rejected(f"{answer.url} answered, but not as an ingest does: look at --url", code="import_refused")
    return results


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, LookupError, TypeError):
        return answer.text[:200]
