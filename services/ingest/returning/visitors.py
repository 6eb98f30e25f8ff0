"""Who opens a link: which address, which program, and whether a person is behind it."""

from typing import NamedTuple

from fastapi import Request

from services.ingest.bots import is_bot
from services.ingest.pages.languages import Language, chosen
from services.ingest.peers import Network, client_address

_LONGEST_AGENT = 300
_PROXIES = ("googleimageproxy", "yahoomailproxy", "yahoo! slurp", "ggpht.com")
"""Mail services that fetch pictures in their reader's stead, when they like."""
_APPLE_MAIL_PRIVACY = "mozilla/5.0"
"""All that Apple's Mail Privacy Protection says of itself; it fetches pictures of mails that nobody opens."""


class Visitor(NamedTuple):
    """Who asks. `is_prefetching`: the browser only looks ahead. `is_proxy`: a mail service's picture proxy."""

    address: str
    agent: str
    is_program: bool
    is_prefetching: bool
    is_proxy: bool


def visitor_of(request: Request, trusted: tuple[Network, ...]) -> Visitor:
    """Return what a request says of its sender."""
    peer = request.client.host if request.client else ""
    forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
    agent = request.headers.get("user-agent", "")[:_LONGEST_AGENT]
    purpose = request.headers.get("sec-purpose", "") + request.headers.get("purpose", "") + request.headers.get("x-moz", "")
    return Visitor(
        address=client_address(peer, forwarded.encode("latin-1", "replace") or None, trusted) or "unknown",
        agent=agent,
        is_program=is_bot(agent),
        is_prefetching="prefetch" in purpose.lower() or "preview" in purpose.lower(),
        is_proxy=is_proxy(agent),
    )


def is_proxy(agent: str) -> bool:
    """Say whether a mail service fetches pictures under this name."""
    lowered = agent.strip().lower()
    return lowered == _APPLE_MAIL_PRIVACY or any(name in lowered for name in _PROXIES)


def language_for(request: Request, of_message: str = "") -> Language:
    """Return the page's language: chosen on the page, else the message's, else the browser's."""
    return chosen(request.headers.get("accept-language", ""), request.query_params.get("lang", ""), of_message)
