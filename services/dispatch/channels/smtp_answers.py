"""What a mail server's replies and silences mean (RFC 5321, RFC 3463, RFC 1047).

Before the final dot nothing has been handed over, so everything temporary may be tried again. After it only a reply tells.
"""

import re
from typing import Literal

import aiosmtplib

from services.dispatch.channels.port import Accepted, Answer, Reject, Retry, Unknown

Stage = Literal["mail", "rcpt", "data", "content"]
_ENHANCED = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_ADDRESS_DEAD = frozenset({"5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"})
"""Address or host unknown, moved, or taking no mail: not to be used again. Anything else says nothing of the person."""
_NO_MAILBOX = frozenset({550, 551, 553})
_NOBODY = re.compile(
    r"\b(no\s+such|unknown|non-?existent)\s+(local\s+)?(user|mailbox|recipient|account|addressee)\b"
    r"|\b(user|mailbox|recipient|account|addressee)(\s+\S+@\S+)?\s+(is\s+)?(unknown|not\s+found|does(\s+not|n't)\s+exist)\b"
    r"|\bno\s+mailbox\s+here\s+by\s+that\s+name\b",
    re.IGNORECASE,
)
"""What servers without enhanced codes say of an address that is nobody's."""
_POLICY = re.compile(
    r"polic|spam|block|black|list|reput|den(y|ied)|relay|sender|from\b|client|\bip\b|dns|spf|dkim|dmarc|auth|verif|rate|limit|quota|full|try",
    re.IGNORECASE,
)
"""Words of a refusal that may be ours to cure, or passes: with one of them nothing is concluded about the person."""
_SERVICE_UNAVAILABLE = 421


def answer_of(stage: Stage, code: int, text: str) -> Answer:
    """Translate a reply to one of the verbs; the caller has seen that it is not the positive one, or `content` ended with 250."""
    if stage == "content" and code == 250:
        return Accepted(provider_id=text.partition("\n")[0][:200] or None)
    detail = f"{code} {text}"
    if code == _SERVICE_UNAVAILABLE:
        return Retry(reason="smtp_421", scope="channel", detail=detail)
    if code < 500:
        return Retry(reason=f"smtp_{code}", scope="recipient" if stage == "rcpt" else "message", detail=detail)
    return _final(stage, code, detail)


def _final(stage: Stage, code: int, detail: str) -> Reject:
    found = _ENHANCED.search(detail)
    enhanced = found.group(1) if found else ""
    if enhanced in _ADDRESS_DEAD or (stage == "rcpt" and not enhanced and says_nobody(code, detail)):
        return Reject(reason="address_dead", kind="recipient", suppress=True, detail=detail)
    if enhanced.startswith("5.7.") or stage == "mail":
        return Reject(reason="policy", kind="config", detail=detail)
    return Reject(reason=f"smtp_{code}", kind="recipient" if stage == "rcpt" else "content", detail=detail)


def says_nobody(code: int, text: str) -> bool:
    """Say whether a refusal of a recipient without an enhanced code (RFC 3463) tells in words that there is no such mailbox.

    The code alone does not: 550 also means "no access" and "for policy reasons" (RFC 5321, 4.2.3). In doubt it is no.
    """
    return code in _NO_MAILBOX and bool(_NOBODY.search(text)) and not _POLICY.search(text)


def answer_before_content(error: BaseException) -> Answer:
    """Translate what aiosmtplib or the network raised before the content was sent: certainly not delivered."""
    match error:
        case aiosmtplib.SMTPAuthenticationError():
            return Retry(reason="smtp_auth", scope="channel", detail=f"{error.code} {error.message}")
        case aiosmtplib.SMTPResponseException():
            return Retry(reason="smtp_greeting", scope="channel", detail=f"{error.code} {error.message}")
        case aiosmtplib.SMTPNotSupported():
            return Retry(reason="smtp_unsupported", scope="channel", detail=str(error))
        case TimeoutError():
            return Retry(reason="timeout", scope="channel", detail="the server did not answer in time")
        case ValueError():
            return Reject(reason="address_invalid", kind="recipient", detail=str(error))
        case _:
            return Retry(reason="connection_failed", scope="channel", detail=str(error))


def answer_after_content(error: BaseException) -> Unknown:
    """Translate a silence after the final dot: the server may have taken it over."""
    reason = "timeout" if isinstance(error, TimeoutError) else "disconnected"
    return Unknown(reason=reason, detail=str(error) or "no answer after the final dot")
