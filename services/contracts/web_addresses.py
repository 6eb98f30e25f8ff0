"""Which addresses a link of ours may lead to."""

import re
from urllib.parse import urlsplit

LONGEST = 2_000
"""Characters of an address: more fits neither into every browser's address bar nor into our tokens."""
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ufeff]")
"""Characters at which programs disagree where an address ends or which host it names."""


def is_web_address(address: str) -> bool:
    """Say whether this is an absolute http or https address with a host, without a password, and read alike by all programs."""
    if len(address) > LONGEST or _FORBIDDEN.search(address) or address[:4].lower() != "http":
        return False
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc and port != 0
