"""Render pages: Jinja2, sandboxed, everything escaped, under a policy that lets a page do nothing but show itself and post its form."""

import base64
import hashlib
from collections.abc import Mapping
from string import Template
from types import MappingProxyType
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import DictLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from services.ingest.pages.languages import LANGUAGES, Language

STYLE = "style.css"
_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-robots-tag": "noindex",
        "vary": "Accept-Language",
    }
)
"""The link is a secret, and the page is about one person."""


class Pages:
    """The pages of one theme: `files` by name, `words` by language."""

    def __init__(self, files: Mapping[str, str], words: Mapping[Language, Mapping[str, Any]]) -> None:
        self._style = files[STYLE]
        self._words = words
        self._environment = ImmutableSandboxedEnvironment(
            loader=DictLoader(files), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._environment.filters["fill"] = fill
        hashed = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        self._policy = (
            f"default-src 'none'; style-src 'sha256-{hashed}'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )

    def words(self, language: Language) -> Mapping[str, Any]:
        """Return the words of a language, by section."""
        return self._words[language]

    def render(self, page: str, language: Language, **values: Any) -> str:
        """Return a page. Raises Jinja's errors where a theme's template does not fit."""
        context = {"language": language, "languages": LANGUAGES, "words": self._words[language], "all_words": self._words, "page": page}
        return self._environment.get_template(f"{page}.html").render(style=Markup(self._style), **context, **values)  # noqa: S704 - the operator's own style

    def answer(self, page: str, language: Language, status: int = 200, retry_after: int | None = None, **values: Any) -> HTMLResponse:
        """Return a page as an answer; `retry_after` in seconds."""
        headers = {**_HEADERS, "content-security-policy": self._policy}
        if retry_after is not None:
            headers["retry-after"] = str(retry_after)
        return HTMLResponse(self.render(page, language, **values), status, headers)

    def notice(self, name: str, language: Language, status: int = 200, retry_after: int | None = None, **values: Any) -> HTMLResponse:
        """Return a page with a title and a sentence, the section `name` of the words; `values` are put into the sentence."""
        return self.answer("notice", language, status, retry_after, said=self._words[language][name], values=values)


def fill(text: str, **values: str) -> str:
    """Put values into a text where `$name` stands; what has no value stays as it is."""
    return Template(text).safe_substitute(values)
