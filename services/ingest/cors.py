"""Which web pages may talk to us (https://fetch.spec.whatwg.org/#http-cors-protocol). Pure: headers in, headers out.

A preflight carries no key: it is let through where any key allows its origin. The request that follows is held to its own key.
Answers allow credentials, since RudderStack's and PostHog's browser libraries send requests in that mode; no cookie of ours exists.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from services.ingest.keys import WriteKey
from services.ingest.refusals import RequestRefused

Headers = tuple[tuple[bytes, bytes], ...]
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
"""What a header's name may be made of (RFC 9110, 5.6.2), and as long as a sane one is."""
_MOST_HEADERS = 32
_LONGEST_ORIGIN = 255
_VARY = (b"vary", b"Origin")
_METHODS = (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, OPTIONS")
_MAX_AGE = (b"access-control-max-age", b"600")
_CREDENTIALS = (b"access-control-allow-credentials", b"true")
_EXPOSE = (b"access-control-expose-headers", b"Retry-After")


def preflight_headers(headers: Mapping[bytes, bytes], allows: Callable[[str], bool]) -> Headers:
    """Return the headers of the answer (204) to an OPTIONS request; `allows` says whether any key allows an origin.

    Without an allowed `Origin` there is only `Vary`: the browser then keeps the request to itself.
    """
    origin = headers.get(b"origin", b"")
    if not _is_origin(origin) or not allows(origin.decode("latin-1")):
        return (_VARY,)
    names = _names(headers.get(b"access-control-request-headers", b""))
    wanted = ((b"access-control-allow-headers", b", ".join(names)),) if names else ()
    return (_allow(origin), _CREDENTIALS, _METHODS, *wanted, _MAX_AGE, _VARY)


def answer_headers(origin: bytes | None, key: WriteKey | None, allows: Callable[[str], bool]) -> Headers:
    """Return what any other answer needs, so that a page of this origin may read it; nothing where the request named no origin.

    `key` is None where the request was refused before its key was known: a browser's library should see even that.
    """
    if origin is None:
        return ()
    text = origin.decode("latin-1")
    if not _is_origin(origin) or not (allows(text) if key is None else allows_origin(key.origins, text)):
        return (_VARY,)
    return (_allow(origin), _CREDENTIALS, _EXPOSE, _VARY)


def check_origin(key: WriteKey, origin: bytes | None) -> None:
    """Raise `RequestRefused` (403) where a page posts with a key that is not for its origin; who names no origin is no page."""
    if origin is not None and key.origins and not allows_origin(key.origins, origin.decode("latin-1")):
        raise RequestRefused("origin_not_allowed", f"the key {key.name!r} is not for pages of this origin; its origins: povod keys list")


def allows_origin(origins: Sequence[str], origin: str) -> bool:
    """Say whether a page's origin is among those of a key; none there means any."""
    return not origins or "*" in origins or origin.lower() in origins


def _allow(origin: bytes) -> tuple[bytes, bytes]:
    return (b"access-control-allow-origin", origin)


def _is_origin(origin: bytes) -> bool:
    return 0 < len(origin) <= _LONGEST_ORIGIN and origin.isascii() and origin.decode("ascii").isprintable()


def _names(asked: bytes) -> list[bytes]:
    names = [name.strip() for name in asked.split(b",", _MOST_HEADERS)[:_MOST_HEADERS]]
    return [name for name in names if _TOKEN.fullmatch(name)]
