"""SMS through any HTTP gateway: its request and its answer are described in settings.

[dispatch.sms]
url = "https://gateway.example/send"
body = {to = "{recipient}", text = "{text}", id = "{message_id}", from = "{sender}"}
success = "/ok"                       # JSON pointers into the answer; empty: any 2xx is a success
error = "/error_code"
provider_id = "/id"
retry_errors = ["9"]                  # codes after which the same message may be tried again
suppress_errors = ["21610"]           # codes after which the number must not be used again

Most gateways know no idempotency key, so a lost answer is `Unknown` and never repeated by default.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx

from services.contracts.ids import Channel
from services.dispatch.channels.http import (
    FAILURES,
    answer_to_failure,
    answer_to_status,
    exchange,
    longest_exchange,
    new_client,
    patience_of,
    point,
    read_json,
)
from services.dispatch.channels.port import Accepted, Answer, Reject, Rendered, Retry, Unknown
from services.dispatch.channels.sms_length import measure
from services.runtime.settings import SmsSettings

_PHONE = re.compile(r"\+?[0-9]{5,15}")
_PLACE = re.compile(r"\{(recipient|text|message_id|sender)\}")
MOST_PARTS = 10
"""Longer texts are a template's mistake, and dear."""


class SmsSender:
    """Hands short messages to one gateway."""

    channel = Channel("sms")
    provider = "http_sms"

    def __init__(self, settings: SmsSettings) -> None:
        self._settings = settings
        self._client = new_client(settings.timeout, settings.concurrency)

    @property
    def at_most_once(self) -> bool:
        """Say what the settings say: a second SMS costs money, and most gateways know no idempotency key."""
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
        if refusal := refuse(message.recipient, text):
            return refusal
        try:
            response = await exchange(self._client, self._request(message, text), longest_exchange(self._settings.timeout))
        except FAILURES as error:
            return answer_to_failure(error)
        return self._answer(response)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _request(self, message: Rendered, text: str) -> httpx.Request:
        settings = self._settings
        values = {"recipient": message.recipient, "text": text, "message_id": message.message_id, "sender": settings.sender}
        url = _filled(settings.url, {name: quote(value, safe="") for name, value in values.items()})
        fields = {name: _filled(template, values) for name, template in settings.body.items()}
        headers = message.trace_headers() | {name: value.get_secret_value() for name, value in settings.headers.items()}
        if settings.method == "GET":
            return self._client.build_request("GET", url, params=fields, headers=headers)
        if settings.encoding == "form":
            return self._client.build_request("POST", url, data=fields, headers=headers)
        return self._client.build_request("POST", url, json=fields, headers=headers)

    def _answer(self, response: httpx.Response) -> Answer:
        document = read_json(response)
        if answer := self._answer_to_code(document):
            return answer
        if answer := answer_to_status(response):
            return answer
        if not response.is_success:
            return Reject(reason=f"http_{response.status_code}", kind="content", detail=response.text[:500])
        return self._answer_to_success(document, response)

    def _answer_to_code(self, document: Any) -> Answer | None:
        code = point(document, self._settings.error) if self._settings.error else None
        if code in (None, "", 0, False):
            return None
        if str(code) in self._settings.retry_errors:
            return Retry(reason="gateway_busy", detail=f"error {code}")
        is_dead = str(code) in self._settings.suppress_errors
        return Reject(reason="address_dead" if is_dead else "gateway_refused", kind="recipient", suppress=is_dead, detail=f"error {code}")

    def _answer_to_success(self, document: Any, response: httpx.Response) -> Answer:
        if self._settings.success and not point(document, self._settings.success):
            if document is None:
                return Unknown(reason="unreadable_answer", detail=response.text[:500])
            return Reject(reason="gateway_refused", kind="content", detail=response.text[:500])
        provider_id = point(document, self._settings.provider_id)
        return Accepted(provider_id=None if provider_id is None else str(provider_id)[:200])


def refuse(recipient: str, text: str) -> Reject | None:
    """Return why a message can't be an SMS, None where it can."""
    if not _PHONE.fullmatch(recipient):
        return Reject(reason="address_invalid", kind="recipient", detail="not a phone number: + and 5 to 15 digits")
    if not text:
        return Reject(reason="text_missing", kind="content", detail="the template has no text.txt, or it is empty")
    if (parts := measure(text).parts) > MOST_PARTS:
        return Reject(reason="text_too_long", kind="content", detail=f"{parts} parts; {MOST_PARTS} are allowed")
    return None


def _filled(template: str, values: Mapping[str, str]) -> str:
    """Put values into their places in one pass: a value that holds `{text}` itself is left as it is."""
    return _PLACE.sub(lambda place: values[place.group(1)], template)
