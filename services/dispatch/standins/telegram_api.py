"""Telegram's Bot API as far as `sendMessage` and `getMe` go: keeps messages, answers with Telegram's own words, fails when it is told to.

Answers follow https://core.telegram.org/bots/api#making-requests and the texts of the real server (tdlib/telegram-bot-api, Client.cpp).
"""

from typing import Any

import msgspec
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.dispatch.standins.faults import Fault, Script, perform
from services.dispatch.standins.web import WebServer
from services.runtime.settings import TelegramSettings

TOKEN = "4242:povod-stand-in"  # noqa: S105 - a stand-in's
_LONGEST_TEXT = 4_096


class KeptText(msgspec.Struct, frozen=True):
    """A message as it came."""

    chat_id: str
    text: str
    traceparent: str | None = None


class TelegramApi:
    """The API for one bot, on the event loop it is started on."""

    def __init__(self, token: str = TOKEN) -> None:
        self.messages: list[KeptText] = []
        self.requests = 0
        self.blocked: set[str] = set()
        self.strangers: set[str] = set()
        self._token = token
        self._script = Script()
        route = Route("/{bot}/{method}", self._call, methods=["GET", "POST"])
        self._server = WebServer(Starlette(routes=[route]))

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; return the bound port (0 asks for a free one)."""
        return await self._server.start(host, port)

    async def stop(self) -> None:
        """Stop listening. Harmless twice."""
        await self._server.stop()

    def settings(self, **changes: Any) -> TelegramSettings:
        """Return the settings of a sender for this bot; only while it runs."""
        described = {"token": SecretStr(self._token), "base_url": f"http://127.0.0.1:{self._server.port}"}
        return TelegramSettings(**(described | changes))

    def script(self, *faults: Fault) -> None:
        """Give the next requests these answers instead of the usual ones."""
        self._script.extend(*faults)

    async def _call(self, request: Request) -> Response:
        self.requests += 1
        if request.path_params["bot"] != f"bot{self._token}":
            return _error(401, "Unauthorized")
        if request.path_params["method"] == "getMe":
            return JSONResponse({"ok": True, "result": {"id": 4242, "is_bot": True, "first_name": "Povod"}})
        if request.path_params["method"] != "sendMessage":
            return _error(404, "Not Found")
        return await self._send_message(request)

    async def _send_message(self, request: Request) -> Response:
        message = _read(await request.body(), request.headers.get("traceparent"))
        if fault := self._script.next():
            if fault.keeps and message is not None:
                self.messages.append(message)
            return await perform(fault, request)
        if refusal := self._refusal(message):
            return refusal
        if message is not None:
            self.messages.append(message)
        return JSONResponse({"ok": True, "result": {"message_id": len(self.messages), "text": message.text if message else ""}})

    def _refusal(self, message: KeptText | None) -> Response | None:
        if message is None or not message.chat_id:
            return _error(400, "Bad Request: chat_id is empty")
        if message.chat_id in self.strangers:
            return _error(400, "Bad Request: chat not found")
        if message.chat_id in self.blocked:
            return _error(403, "Forbidden: bot was blocked by the user")
        if not message.text.strip():
            return _error(400, "Bad Request: message text is empty")
        if len(message.text.encode("utf-16-le")) // 2 > _LONGEST_TEXT:
            return _error(400, "Bad Request: message is too long")
        return None


def flood(retry_after: int) -> Fault:
    """Return the answer to a bot that sends too fast."""
    body = {
        "ok": False,
        "error_code": 429,
        "description": f"Too Many Requests: retry after {retry_after}",
        "parameters": {"retry_after": retry_after},
    }
    return Fault(status=429, body=body)


def _error(code: int, description: str) -> Response:
    return JSONResponse({"ok": False, "error_code": code, "description": description}, code)


def _read(body: bytes, traceparent: str | None) -> KeptText | None:
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        return None
    return KeptText(str(fields.get("chat_id") or ""), str(fields.get("text") or ""), traceparent)
