"""Telegram by the Bot API's `sendMessage` (https://core.telegram.org/bots/api#sendmessage)."""

from datetime import timedelta
from typing import Any

import httpx

from services.contracts.ids import Channel
from services.dispatch.channels.http import (
    FAILURES,
    LONG_HOLD,
    answer_to_failure,
    exchange,
    longest_exchange,
    new_client,
    patience_of,
    point,
    read_json,
)
from services.dispatch.channels.port import Accepted, Answer, Reject, Rendered, Retry, Unknown
from services.runtime.settings import TelegramSettings

LONGEST_TEXT = 4_096
"""UTF-16 units of a message."""
_BLOCKED = ("bot was blocked", "user is deactivated", "bot was kicked")
_NEVER_STARTED = ("can't initiate conversation", "chat not found", "peer_id_invalid")


class TelegramSender:
    """Sends as one bot. The token is in the URL's path: neither URLs nor exceptions' texts ever leave this file."""

    channel = Channel("telegram")
    provider = "telegram"

    def __init__(self, settings: TelegramSettings) -> None:
        self._settings = settings
        self._client = new_client(settings.timeout, settings.concurrency)
        self._url = f"{settings.base_url.rstrip('/')}/bot{settings.token.get_secret_value()}/sendMessage"

    @property
    def at_most_once(self) -> bool:
        """Say what the settings say; the API knows no idempotency key."""
        return self._settings.at_most_once

    @property
    def concurrency(self) -> int:
        """Return the number of requests that may be under way."""
        return self._settings.concurrency

    @property
    def patience(self) -> timedelta:
        """Return the longest that a request takes, with closing the connection of one that was given up."""
        return patience_of(self._settings.timeout)

    async def send(self, message: Rendered) -> Answer:
        """Hand one message over."""
        text = message.parts.get("text.txt", "")
        if refusal := refuse(text):
            return refusal
        try:
            body = {"chat_id": message.recipient, "text": text}
            request = self._client.build_request("POST", self._url, json=body, headers=message.trace_headers())
            response = await exchange(self._client, request, longest_exchange(self._settings.timeout))
        except FAILURES as error:
            return answer_to_failure(error)
        return answer_of(response)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def refuse(text: str) -> Reject | None:
    """Return why a text can't be sent, None where it can."""
    if not text:
        return Reject(reason="text_missing", kind="content", detail="the template has no text.txt, or it is empty")
    if len(text.encode("utf-16-le")) // 2 > LONGEST_TEXT:
        return Reject(reason="text_too_long", kind="content", detail=f"over {LONGEST_TEXT} characters")
    return None


def answer_of(response: httpx.Response) -> Answer:
    """Translate the API's answer."""
    document = read_json(response)
    if response.is_success and point(document, "/ok") is True:
        provider_id = point(document, "/result/message_id")
        return Accepted(provider_id=None if provider_id is None else str(provider_id))
    description = str(point(document, "/description") or f"HTTP {response.status_code}")[:500]
    code = point(document, "/error_code")
    return _answer_to_error(code if isinstance(code, int) else response.status_code, description, document)


def _answer_to_error(code: int, description: str, document: Any) -> Answer:
    match code:
        case 429:
            seconds = point(document, "/parameters/retry_after")
            after = timedelta(seconds=min(seconds, 86_400)) if isinstance(seconds, int) and seconds > 0 else timedelta(seconds=1)
            return Retry(reason="flood", after=after, scope="channel", detail=description)
        case 401 | 404:
            return Retry(reason="unauthorized", after=LONG_HOLD, scope="channel", detail=description)
        case 400 | 403:
            return _refused(code, description)
        case _ if code >= 500 or 200 <= code < 300:
            return Unknown(reason=f"http_{code}", detail=description)
        case _:
            return Reject(reason=f"http_{code}", kind="config", detail=description)


def _refused(code: int, description: str) -> Reject:
    said = description.lower()
    if code == 403 and any(words in said for words in _BLOCKED):
        return Reject(reason="blocked", kind="recipient", suppress=True, detail=description)
    if any(words in said for words in _NEVER_STARTED):
        return Reject(reason="never_started", kind="recipient", suppress=True, detail=description)
    return Reject(reason=f"http_{code}", kind="content" if code == 400 else "recipient", detail=description)
