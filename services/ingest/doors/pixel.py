"""Pixels, for mails and pages where no script runs: an image's address says what happened.

Segment's: `GET /v1/pixel/KIND?data=BASE64`, the message as JSON, which may stand there plainly too.
https://segment.com/docs/connections/sources/catalog/libraries/server/pixel-tracking-api/
RudderStack's: `GET /pixel/v1/KIND?writeKey=KEY&userId=42&properties.path=/tea`, a field a parameter, dots for what is within.

The answer is always 200 and a transparent GIF of one pixel, also where nothing was taken: whoever sees it can't mend the mistake.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from services.contracts.errors import InvalidEvent
from services.contracts.incoming import read_json
from services.ingest.doors.port import Answer, Door, KeyPlace, Parcel, Posted
from services.ingest.doors.segment import KINDS, SegmentDoor
from services.ingest.judge import Judged
from services.ingest.refusals import RequestRefused

PREFIXES = ("/v1/pixel/", "/pixel/v1/")
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_PIXEL = Answer(200, b"image/gif", GIF, ((b"cache-control", b"no-store"),))
_KINDS = frozenset(KINDS.values()) - {""}
_DEEPEST = 8
"""Levels of nesting that the dots of a parameter's name can make."""


class PixelDoor(Door):
    """Takes one message a picture, and reads it as `segment` does."""

    name = "pixel"
    key_place: KeyPlace = "body"

    def __init__(self, segment: SegmentDoor) -> None:
        self._segment = segment

    def read(self, posted: Posted) -> Parcel:
        """Return the message; raises `RequestRefused` or `InvalidEvent` where there is none, which nobody will see."""
        kind = posted.path.rstrip("/").rpartition("/")[2]
        if kind not in _KINDS:
            raise RequestRefused("not_found", f"a pixel is one of {', '.join(sorted(_KINDS))}")
        if posted.method != "GET":
            raise RequestRefused("method_not_allowed", "a pixel is asked for with GET")
        data = posted.query.get("data")
        return self._segment.read_raw(_nested(posted.query) if data is None else read_json(_decoded(data)), kind)

    def accept(self, posted: Posted, judged: Judged) -> Answer:  # noqa: ARG002 - the port's
        """Answer with the picture."""
        return _PIXEL

    def refuse(self, posted: Posted, refused: RequestRefused) -> Answer | None:  # noqa: ARG002 - the port's
        """Answer with the picture even so."""
        return _PIXEL


def _decoded(data: str) -> bytes:
    """Return what is in a parameter: plain JSON, or base64 of either alphabet, whatever became of its padding and plus signs."""
    text = data.strip()
    if text.startswith("{"):
        return text.encode("utf-8", "replace")
    plain = text.replace("-", "+").replace("_", "/").replace(" ", "+").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidEvent("data is neither JSON nor base64", code="invalid_json", pointer="") from error


def _nested(query: Mapping[str, str]) -> dict[str, Any]:
    """Return a message from parameters whose names have dots."""
    message: dict[str, Any] = {}
    for name, value in query.items():
        *path, last = name.split(".", _DEEPEST)
        place = message
        for step in path:
            below = place.setdefault(step, {})
            place = below if isinstance(below, dict) else {}
        place.setdefault(last, value)
    message.pop("batch", None)
    return message
