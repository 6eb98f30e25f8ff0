"""Links of rendered messages: led past ingest, so that a click is known, and a picture that tells of an opened mail.

Only http and https addresses of others are led: not our own pages, not `mailto:`, `tel:` or anchors, nor a link with the attribute
`data-untracked`. Where a link leads stands inside its signed token; equal addresses of one message are one link.

The HTML is not parsed into a tree and written again, which would change what mail programs depend on (conditional comments, quotes):
an expression finds tags, comments and raw texts, as `html.parser` does, and only the value of `href` is replaced. Why so:
`docs/adr/0010-links-by-an-expression.md`.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from html import unescape

from services.consent.claims import ClickClaim, OpenClaim
from services.consent.tokens import TokenSigner
from services.contracts.messages import Message
from services.contracts.web_addresses import is_web_address
from services.runtime.clock import Clock
from services.runtime.settings import LinkSettings

UNTRACKED = "data-untracked"
"""The attribute of a link that is left as it is."""
_MOST = 200
"""Links of one message that are led; more is no mail."""
_TAG_REST = r"""(?:[^<>"']++|"[^"]*"|'[^']*')*+>"""
_LINK = r"<(?:[aA]|[aA][rR][eE][aA])(?=[\s/])"
_RAW = "|".join(rf"(?i:{name})(?=[\s/>])(?:.*?</(?i:{name})|.*\Z)" for name in ("script", "style", "title", "textarea"))
_UP_TO_LINK = re.compile(
    r"(?:[^<]++"
    rf"|<(?![aA][\s/]|[aA][rR][eE][aA][\s/]|[sStT])[a-zA-Z/?]{_TAG_REST}"
    r"|<!--(?:.*?-->|.*\Z)"
    rf"|<(?:{_RAW})"
    rf"|<(?!{_LINK[1:]})[a-zA-Z/?!]{_TAG_REST}"
    rf"|<(?!{_LINK[1:]}{_TAG_REST}))*+"
    rf"{_LINK}(?P<link>{_TAG_REST})",
    re.DOTALL,
)
"""Everything up to a link, then the link's tag: other tags with their quotes, comments and raw texts hold none."""
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+)))?""")
_PLAIN_HREF = re.compile(r"""\s+href="([^"]*)"(?=[\s>])""")
"""How nearly every link begins; looked for first, since looking at all attributes takes longer."""
_ADDRESS = re.compile(r"https?://[^\s<>\"«»“”]+")
_is_web_address = lru_cache(maxsize=4_096)(is_web_address)
_AFTER_ADDRESS = ".,;:!?…'*_"
"""Characters that end the sentence around an address, not the address."""


class LinkWriter:
    """Leads the links of messages past `public_url`."""

    def __init__(self, signer: TokenSigner, public_url: str, settings: LinkSettings, clock: Clock) -> None:
        self._signer = signer
        self._public_url = public_url.rstrip("/")
        self._ours = tuple(f"{self._public_url}/{page}/" for page in "ucopsd")
        self._settings = settings
        self._clock = clock

    def rewrite(self, message: Message, parts: Mapping[str, str]) -> dict[str, str]:
        """Return the parts of a message with their links led, as the settings say of its channel and template."""
        rewritten = dict(parts)
        settings = self._settings
        if message.template in settings.untracked:
            return rewritten
        now = self._clock.now()
        if message.channel in settings.clicks:
            links = _Links(self._signer, f"{self._public_url}/c/", self._ours, message, now)
            rewritten = {name: links.rewrite(name, text) for name, text in sorted(parts.items())}
        if message.channel in settings.opens and "body.html" in rewritten:
            rewritten["body.html"] = with_picture(rewritten["body.html"], self._picture(message, now))
        return rewritten

    def _picture(self, message: Message, now: datetime) -> str:
        token = self._signer.sign(OpenClaim(message.customer, message.channel, message.message_id, now))
        return f'<img src="{self._public_url}/o/{token}.gif" width="1" height="1" alt="" style="display:block;border:0">'


class _Links:
    """The links of one message, numbered from 1 in the order in which they are met."""

    def __init__(self, signer: TokenSigner, prefix: str, ours: tuple[str, ...], message: Message, now: datetime) -> None:
        self._signer = signer
        self._prefix = prefix
        self._ours = ours
        self._message = message
        self._now = now
        self._led: dict[str, str] = {}

    def rewrite(self, part: str, text: str) -> str:
        if part.endswith(".html"):
            return rewrite_html(text, self)
        return text if part.startswith("subject") or "://" not in text else _ADDRESS.sub(self._of_text, text)

    def __call__(self, target: str) -> str | None:
        """Return the address that leads to the target; None where it is to be left as it is."""
        if target in self._led:
            return self._led[target]
        if target.startswith(self._ours) or len(self._led) >= _MOST or not _is_web_address(target):
            return None
        message = self._message
        claim = ClickClaim(message.customer, message.channel, message.message_id, len(self._led) + 1, target, self._now)
        led = self._led[target] = self._prefix + self._signer.sign(claim)
        return led

    def _of_text(self, match: re.Match[str]) -> str:
        address = match[0].rstrip(_AFTER_ADDRESS)
        while address.endswith((")", "]")) and address.count(")") + address.count("]") > address.count("(") + address.count("["):
            address = address[:-1].rstrip(_AFTER_ADDRESS)
        return (self(address) or address) + match[0][len(address) :]


def rewrite_html(html: str, lead: Callable[[str], str | None]) -> str:
    """Return the HTML with the addresses of its links led, as far as `lead` names another; everything else stays byte for byte."""
    pieces: list[str] = []
    done = at = 0
    while tag := _UP_TO_LINK.match(html, at):
        at = tag.end()
        found = _href_of(html, *tag.span("link"))
        if found and (led := lead(unescape(html[found[0] : found[1]]).strip())):
            pieces += (html[done : found[0]], led)
            done = found[1]
    return "".join((*pieces, html[done:])) if pieces else html


def _href_of(html: str, begin: int, end: int) -> tuple[int, int] | None:
    """Return where the value of the first `href` in a tag stands; None where there is none, or the link is not to be led."""
    if (plain := _PLAIN_HREF.match(html, begin, end)) and html.find(UNTRACKED, begin, end) < 0:
        return plain.span(1)
    attributes = list(_ATTRIBUTE.finditer(html, begin, end))
    if any(attribute[1].lower() == UNTRACKED for attribute in attributes):
        return None
    href = next((attribute for attribute in attributes if attribute[1].lower() == "href"), None)
    return None if href is None or href.lastindex in {None, 1} else href.span(href.lastindex or 0)


def with_picture(html: str, picture: str) -> str:
    """Return the HTML with the picture at the end of its body."""
    at = html.rfind("</body")
    if at < 0:
        at = html.lower().rfind("</body")
    return f"{html}{picture}" if at < 0 else f"{html[:at]}{picture}{html[at:]}"
