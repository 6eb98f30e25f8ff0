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
    if enhanced in _ADDRESS_DEAD:
        return Reject(reason="address_dead", kind="recipient", suppress=True, detail=detail)
    if enhanced.startswith("5.7.") or stage == "mail":
        return Reject(reason="policy", kind="config", detail=detail)
    return Reject(reason=f"smtp_{code}", kind="recipient" if stage == "rcpt" else "content", detail=detail)


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
