"""An SMS gateway over HTTP: keeps messages, validates requests, knows its clients' message ids, fails when it is told to.

`POST /send` with JSON or a form `{to, text, id}` answers `{"ok": true, "id": "..."}` or `{"ok": false, "error": "code"}`, the latter
with status 200, as many gateways do.
"""

import re
from typing import Any

import msgspec
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.dispatch.standins.faults import Fault, Script, perform
from services.dispatch.standins.web import WebServer
from services.runtime.settings import SmsSettings

_PHONE = re.compile(r"\+?[0-9]{10,15}")
OPTED_OUT, BAD_NUMBER, BUSY, MISSING = "opted_out", "bad_number", "busy", "missing"


class KeptSms(msgspec.Struct, frozen=True):
    """A message as it came."""

    recipient: str
    text: str
    message_id: str
    traceparent: str | None = None


class SmsGateway:
    """The gateway, on the event loop it is started on. `key` is what its clients must send as Bearer token; empty: none."""

    def __init__(self, key: str = "") -> None:
        self.messages: list[KeptSms] = []
        self.requests = 0
        self.opted_out: set[str] = set()
        self._key = key
        self._script = Script()
        self._server = WebServer(Starlette(routes=[Route("/send", self._send, methods=["POST"])]))

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; return the bound port (0 asks for a free one)."""
        return await self._server.start(host, port)

    async def stop(self) -> None:
        """Stop listening. Harmless twice."""
        await self._server.stop()

    def settings(self, **changes: Any) -> SmsSettings:
        """Return the settings of a sender for this gateway; only while it runs."""
        described: dict[str, Any] = {
            "url": f"http://127.0.0.1:{self._server.port}/send",
            "headers": {"Authorization": SecretStr(f"Bearer {self._key}")} if self._key else {},
            "success": "/ok",
            "error": "/error",
            "retry_errors": (BUSY,),
            "suppress_errors": (OPTED_OUT,),
        }
        return SmsSettings(**(described | changes))

    def script(self, *faults: Fault) -> None:
        """Give the next requests these answers instead of the usual ones."""
        self._script.extend(*faults)

    async def _send(self, request: Request) -> Response:
        self.requests += 1
        message = _read(await request.body(), request.headers.get("traceparent"))
        fault = self._script.next()
        if fault is not None:
            if fault.keeps and message is not None:
                self.messages.append(message)
            return await perform(fault, request)
        if self._key and request.headers.get("authorization") != f"Bearer {self._key}":
            return JSONResponse({"ok": False, "error": "unauthorized"}, 401)
        return self._take(message)

    def _take(self, message: KeptSms | None) -> Response:
        if message is None or not message.text:
            return JSONResponse({"ok": False, "error": MISSING})
        if not _PHONE.fullmatch(message.recipient):
            return JSONResponse({"ok": False, "error": BAD_NUMBER})
        if message.recipient in self.opted_out:
            return JSONResponse({"ok": False, "error": OPTED_OUT})
        self.messages.append(message)
        return JSONResponse({"ok": True, "id": f"sms-{len(self.messages)}"})


def _read(body: bytes, traceparent: str | None) -> KeptSms | None:
    try:
        fields = msgspec.json.decode(body, type=dict[str, str])
    except msgspec.DecodeError:
        return None
    return KeptSms(fields.get("to", ""), fields.get("text", ""), fields.get("id", ""), traceparent)
