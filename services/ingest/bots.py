"""Is this User-Agent a program that is known to be no customer: a crawler, a monitor, a mail scanner, a headless browser?

The list is crawlerdetect's. A look takes 0.2 ms, so that answers are remembered; the list itself takes 0.2 s to compile: `prepare`.
"""

import re
from functools import lru_cache

from crawlerdetect import CrawlerDetect

_LONGEST = 512
_REMEMBERED = 2_048
_APPS = re.compile(r"\b(?:okhttp|cfnetwork|alamofire|dart|ktor-client|react ?native|flutter)\b", re.IGNORECASE)
"""HTTP libraries inside people's apps: the list has some of them, but who uses an app is a person."""
_SPARE = "Mozilla/5.0"


def is_bot(user_agent: str | bytes | None) -> bool:
    """Say whether a known program sent this; none, an empty one and what is beyond its first 512 characters say nothing."""
    if not user_agent:
        return False
    text = user_agent[:_LONGEST]
    return _is_bot(text if isinstance(text, str) else text.decode("latin-1"))


def prepare() -> None:
    """Compile the list now, not while somebody waits for an answer."""
    _is_bot(_SPARE)


@lru_cache(maxsize=_REMEMBERED)
def _is_bot(user_agent: str) -> bool:
    return _APPS.search(user_agent) is None and bool(_detector().is_crawler(user_agent))


@lru_cache(maxsize=1)
def _detector() -> CrawlerDetect:
    return CrawlerDetect()
