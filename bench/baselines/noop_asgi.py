"""The least that an HTTP server can do: read the body, answer 200. Run by uvicorn with the settings of `povod ingest`."""

from typing import Any

_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"16")]
_BODY = b'{"success":true}'


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer every request alike."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})
